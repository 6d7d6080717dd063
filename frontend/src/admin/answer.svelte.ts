/** One request's answer, asked for at once and again by `ask`. */
export class Answer<T> {
  value = $state.raw<T | null>(null);
  failure = $state.raw<unknown>(null);
  #request: () => Promise<T>;

  constructor(request: () => Promise<T>) {
    this.#request = request;
    void this.ask();
  }

  ask = async (): Promise<void> => {
    this.failure = null;
    try {
      this.value = await this.#request();
    } catch (thrown) {
      this.failure = thrown;
    }
  };
}
