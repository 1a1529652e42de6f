// Networks asked many pairs beside the page, in a worker that is ended where something else is asked.
"use strict";

class Asking {
  constructor() {
    this.worker = /** @type {Worker | null} */ (null);
  }

  /**
   * Ask networks one after another; each is made when its turn has come.
   * @param {(() => Computation)[]} networks
   * @param {Asked} asked
   * @param {(outcome: {right: number[], losses: number[], totals: number[]}, place: number) => void} answered
   * @param {(reason: string) => void} failed
   */
  ask(networks, asked, answered, failed) {
    this.stop();
    const fail = (reason) => {
      this.stop();
      failed(`the browser runs no worker for this page (${reason})`);
    };
    let place = 0;
    const next = () => {
      if (place === networks.length) {
        this.stop();
        return;
      }
      const { sizes, activation, tables } = networks[place]();
      this.worker.postMessage({ sizes, activation, tables, asked });
    };
    const source = URL.createObjectURL(new Blob([embedded("worker")], { type: "text/javascript" }));
    try {
      this.worker = new Worker(source);
    } catch (error) {
      fail(String(error));
      return;
    } finally {
      URL.revokeObjectURL(source);
    }
    this.worker.onerror = (event) => fail(event.message || "it was refused");
    this.worker.onmessage = ({ data }) => {
      answered(data, place);
      place += 1;
      next();
    };
    next();
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
  }
}
