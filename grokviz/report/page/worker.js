// Beside the page: a network is asked all pairs.
"use strict";

self.onmessage = ({ data: { sizes, activation, tables, asked } }) => {
  self.postMessage(new Computation(sizes, activation, tables).outcome(asked));
};
