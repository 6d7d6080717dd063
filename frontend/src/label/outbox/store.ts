import type { Item, NewItem } from "./item";

/** Where the outbox lives. `lasting` is false when it would not survive the tab. */
export interface Store {
  readonly lasting: boolean;
  add(item: NewItem): Promise<Item>;
  all(user: number): Promise<Item[]>;
  update(item: Item): Promise<void>;
  /** True when it was there. */
  remove(seq: number): Promise<boolean>;
}

const DATABASE = "prefloop";
const ITEMS = "outbox";

/** IndexedDB, or memory where the browser forbids it (some private modes). */
export async function openStore(): Promise<Store> {
  try {
    return indexedStore(await openDatabase());
  } catch (thrown) {
    console.warn("IndexedDB is not available; the outbox lives in memory only.", thrown);
    return memoryStore();
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(ITEMS, { keyPath: "seq", autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB could not be opened"));
    request.onblocked = () => reject(new Error("IndexedDB is blocked by another tab"));
  });
}

function indexedStore(database: IDBDatabase): Store {
  /** Runs one transaction and resolves when it is on disk. */
  function inside<T>(mode: IDBTransactionMode, work: (items: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(ITEMS, mode, { durability: "strict" });
      const request = work(transaction.objectStore(ITEMS));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("The browser's storage failed"));
    });
  }
  return {
    lasting: true,
    async add(item) {
      const fresh = { ...item, attempts: 0, refusal: null };
      const seq = await inside("readwrite", (items) => items.add(fresh));
      return { ...fresh, seq: Number(seq) };
    },
    async all(user) {
      const items = await inside<Item[]>("readonly", (store) => store.getAll());
      return items.filter((item) => item.user === user);
    },
    async update(item) {
      await inside("readwrite", (items) => items.put(item));
    },
    async remove(seq) {
      const there = await inside("readonly", (items) => items.count(seq));
      await inside("readwrite", (items) => items.delete(seq));
      return there > 0;
    },
  };
}

export function memoryStore(): Store {
  const items = new Map<number, Item>();
  let last = 0;
  return {
    lasting: false,
    add(item) {
      const whole: Item = { ...item, seq: ++last, attempts: 0, refusal: null };
      items.set(whole.seq, whole);
      return Promise.resolve(whole);
    },
    all: (user) => Promise.resolve([...items.values()].filter((item) => item.user === user)),
    update(item) {
      if (items.has(item.seq)) items.set(item.seq, item);
      return Promise.resolve();
    },
    remove: (seq) => Promise.resolve(items.delete(seq)),
  };
}
