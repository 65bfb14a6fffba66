/** A peer store in a file. */

import { PeerStoreError } from '../errors.js'
import { Log } from './log.js'
import type { PeerStorage, StoreChange } from './types.js'

/**
 * Keeps what is known of peers in the file `path`, readable by its owner alone,
 * for one node at a time. Node only.
 *
 * @example
 * ```ts
 * const node = await createNode({ peerStore: filePeerStore('./peers.log') })
 * ```
 */
export function filePeerStore(path: string): PeerStorage {
  const log = new Log(path, 'polypeer-peers-1\n')
  const attempt = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action()
    } catch (cause) {
      throw new PeerStoreError(`${path}: ${(cause as Error).message}`, { cause })
    }
  }
  return {
    load: () =>
      attempt(async () => {
        const values = new Map<string, Uint8Array>()
        // A copy, so that the log's memory is free again.
        await log.open((key, value) => values.set(key, new Uint8Array(value)))
        return [...log.keys()].map((key) => [Buffer.from(key, 'latin1'), values.get(key) ?? new Uint8Array()])
      }),
    write: (changes: readonly StoreChange[]) => attempt(() => log.write(changes)),
    close: () => log.close(),
  }
}
