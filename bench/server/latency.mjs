/** Microseconds counted one by one; above, milliseconds. */
const FINE = 200_000;
const COARSE = 60_000;

/** Quantiles of times, at a cost per time that does not disturb what is measured. */
export class Latency {
  #fine = new Uint32Array(FINE);
  #coarse = new Uint32Array(COARSE);
  #count = 0;

  add(ms) {
    this.#count++;
    const us = Math.floor(ms * 1000);
    if (us < FINE) this.#fine[us]++;
    else this.#coarse[Math.min(COARSE - 1, Math.floor(ms))]++;
  }

  reset() {
    this.#fine.fill(0);
    this.#coarse.fill(0);
    this.#count = 0;
  }

  figures() {
    return { p50_us: this.#quantile(0.5), p99_us: this.#quantile(0.99), p999_us: this.#quantile(0.999) };
  }

  /** The upper edge of the bucket, in microseconds. */
  #quantile(share) {
    const rank = Math.max(1, Math.ceil(this.#count * share));
    let seen = 0;
    for (let us = 0; us < FINE; us++) {
      seen += this.#fine[us];
      if (seen >= rank) return us + 1;
    }
    for (let ms = 0; ms < COARSE; ms++) {
      seen += this.#coarse[ms];
      if (seen >= rank) return (ms + 1) * 1000;
    }
    return null;
  }
}
