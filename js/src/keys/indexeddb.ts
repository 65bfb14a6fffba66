/** A private key in the browser's IndexedDB. */

import { KeyError } from '../errors.js'
import { openDatabase, reasonOf, settled } from '../store/idb.js'
import type { KeyStore } from '../types.js'

const STORE = 'keys'
const NAME = 'identity'

/**
 * Keeps the private key in the IndexedDB database `name` of this origin. Pages
 * and workers of the origin that use the same name are the same peer, so give
 * pages that run at the same time names of their own.
 *
 * @example
 * ```ts
 * const node = await createNode({ keyStore: indexedDbKeyStore('chat') })
 * ```
 */
export function indexedDbKeyStore(name: string): KeyStore {
  const load = (): Promise<Uint8Array | undefined> => run(name, 'readonly', (store) => store.get(NAME))
  return {
    load,
    async save(key) {
      try {
        await run(name, 'readwrite', (store) => store.add(key, NAME))
        return key
      } catch (error) {
        const kept = await load()
        if (kept !== undefined) return kept
        throw error
      }
    },
  }
}

async function run<T>(
  name: string,
  mode: IDBTransactionMode,
  action: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  try {
    const database = await openDatabase(name, (fresh) => fresh.createObjectStore(STORE))
    try {
      return await settled(action(database.transaction(STORE, mode).objectStore(STORE)))
    } finally {
      database.close()
    }
  } catch (cause) {
    throw new KeyError(reasonOf(cause), { cause })
  }
}
