/** A store of records in a file. */

import { Log } from '../store/log.js'
import { type Item, Shelf } from './shelf.js'
import { type RecordLimits, type RecordStore, RecordStoreError, type StoredRecord } from './types.js'

const PLACE = 33
/** Before a value stands its end, in milliseconds of Unix time. */
const END = 8

/**
 * Keeps what a node keeps for others in the file `path`, readable by its owner alone, for
 * one node at a time: whole after a sudden end of the program or the machine. Memory has an
 * index of it. Node only.
 *
 * @example
 * ```ts
 * const node = await createNode({ dht: { recordStore: fileRecordStore('./records.log') } })
 * ```
 */
export function fileRecordStore(path: string, limits: RecordLimits = {}): RecordStore {
  return new FileRecordStore(path, limits)
}

class FileRecordStore implements RecordStore {
  readonly #path: string
  readonly #log: Log
  readonly #shelf: Shelf<Item>
  #last: Promise<unknown> = Promise.resolve()

  constructor(path: string, limits: RecordLimits) {
    this.#path = path
    this.#log = new Log(path, 'polypeer-records-1\n')
    this.#shelf = new Shelf(limits)
  }

  open(): Promise<void> {
    return this.#turn(() =>
      this.#log.open((key, value) => {
        if (value.length >= END) this.#put(key, value)
        else this.#log.forget(key)
      }),
    )
  }

  find(place: Uint8Array): Promise<StoredRecord[]> {
    return this.#turn(async () => {
      const at = Buffer.from(place).toString('latin1')
      const found: StoredRecord[] = []
      for (const { name, expires } of this.#shelf.at(at)) {
        const read = await this.#log.read(at + name)
        if (read === undefined) continue
        const value = new Uint8Array(read.subarray(END))
        found.push({ place, name: new Uint8Array(Buffer.from(name, 'latin1')), value, expires })
      }
      return found
    })
  }

  write(entries: readonly StoredRecord[]): Promise<void> {
    if (entries.length === 0) return Promise.resolve()
    return this.#turn(async () => {
      const changes = entries.map(({ place, name, value, expires }) => {
        const end = Buffer.alloc(END)
        end.writeDoubleLE(expires)
        return { key: Buffer.concat([place, name]), value: Buffer.concat([end, value]) }
      })
      await this.#log.write(changes)
      for (const { key, value } of changes) this.#put(key.toString('latin1'), value)
    })
  }

  tidy(unixMillis: number): Promise<void> {
    return this.#turn(async () => this.#forget(this.#shelf.tidy(unixMillis)))
  }

  close(): Promise<void> {
    return this.#turn(() => this.#log.close())
  }

  /**
   * What makes room for it is not written down: who reads the log again comes to the same,
   * since what expires first goes first.
   */
  #put(key: string, value: Buffer): void {
    const [place, name] = [key.slice(0, PLACE), key.slice(PLACE)]
    const item = { place, name, expires: value.readDoubleLE(), size: value.length - END }
    this.#forget(this.#shelf.put(item))
  }

  #forget(gone: readonly Item[]): void {
    for (const { place, name } of gone) this.#log.forget(place + name)
  }

  /** The file is used by one call at a time. */
  #turn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action).catch((cause: unknown) => {
      throw new RecordStoreError(`${this.#path}: ${(cause as Error).message}`, { cause })
    })
    this.#last = turn.catch(() => {})
    return turn
  }
}
