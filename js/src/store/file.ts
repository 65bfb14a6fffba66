/**
 * A peer store in a file: a log to which each write is appended as a whole,
 * behind its length and checksum. When more than half of it is out of date, a new
 * one takes its place by one renaming.
 *
 * ```text
 * file   = "polypeer-peers-1\n" batch*
 * batch  = <length: u32> <first 8 bytes of the SHA-256 of what follows> change*
 * change = <1: put, 0: delete> <key's length: u16> key (put: <value's length: u32> value)
 * ```
 *
 * Numbers are little endian. A batch that a sudden end cut off, or whose
 * checksum is wrong, is left out as if it had never been written.
 */

import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PeerStoreError } from '../errors.js'
import type { PeerStorage, StoreChange } from './types.js'

const MAGIC = Buffer.from('polypeer-peers-1\n')
const HEADER = 4 + 8
/** The longest batch that is taken for one, in bytes: four full stores. */
const MAX_BATCH = 128 << 20
/** A log is written anew when it has this many bytes more than twice of what counts. */
const SLACK = 256 << 10

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
  return new FilePeerStore(path)
}

class FilePeerStore implements PeerStorage {
  readonly #path: string
  #file: FileHandle | undefined
  /** Bytes of the log, and by key those of the changes that count. */
  #length = 0
  #live = new Map<string, number>()
  #liveBytes = 0

  constructor(path: string) {
    this.#path = path
  }

  load(): Promise<[Uint8Array, Uint8Array][]> {
    return this.#try(async () => {
      await mkdir(dirname(this.#path), { recursive: true })
      this.#file = await open(this.#path, 'a+', 0o600)
      const log = await this.#file.readFile()
      const { entries, whole } = parse(log)
      for (const [key, value] of entries) this.#count(key, value)
      this.#length = log.length
      if (!whole) await this.#rewrite(entries)
      return [...entries].map(([key, value]) => [Buffer.from(key, 'latin1'), value])
    })
  }

  write(changes: readonly StoreChange[]): Promise<void> {
    return this.#try(async () => {
      if (this.#file === undefined) throw new PeerStoreError('the file is not open')
      const batch = encode(changes)
      await this.#file.appendFile(batch)
      await this.#file.datasync()
      this.#length += batch.length
      for (const { key, value } of changes) this.#count(Buffer.from(key).toString('latin1'), value)
      if (this.#length > 2 * this.#liveBytes + SLACK) {
        const log = await open(this.#path, 'r')
        try {
          await this.#rewrite(parse(await log.readFile()).entries)
        } finally {
          await log.close()
        }
      }
    })
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #count(key: string, value: Uint8Array | undefined): void {
    this.#liveBytes -= this.#live.get(key) ?? 0
    this.#live.delete(key)
    if (value === undefined) return
    const size = 1 + 2 + key.length + 4 + value.length
    this.#live.set(key, size)
    this.#liveBytes += size
  }

  /** Puts a log of nothing but `entries` in place of the present one. */
  async #rewrite(entries: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const draft = `${this.#path}.new`
    await rm(draft, { force: true })
    const file = await open(draft, 'ax+', 0o600)
    try {
      const changes = [...entries].map(([key, value]) => ({ key: Buffer.from(key, 'latin1'), value }))
      const log = Buffer.concat([MAGIC, ...(changes.length === 0 ? [] : [encode(changes)])])
      await file.appendFile(log)
      await file.sync()
      await rename(draft, this.#path)
      this.#length = log.length
    } catch (error) {
      await file.close()
      throw error
    }
    await this.#file?.close()
    this.#file = file
    await syncFolder(dirname(this.#path))
  }

  async #try<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      if (error instanceof PeerStoreError) throw error
      throw new PeerStoreError(`${this.#path}: ${(error as Error).message}`, { cause: error })
    }
  }
}

/** Without this the renaming itself may be lost with the machine's power. */
async function syncFolder(path: string): Promise<void> {
  // Windows opens no folders, and needs it not.
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => {})
  await folder?.close()
}

function encode(changes: readonly StoreChange[]): Buffer {
  const parts: Uint8Array[] = []
  for (const { key, value } of changes) {
    const head = Buffer.alloc(3)
    head.writeUInt8(value === undefined ? 0 : 1, 0)
    head.writeUInt16LE(key.length, 1)
    parts.push(head, key)
    if (value !== undefined) {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(value.length, 0)
      parts.push(length, value)
    }
  }
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(body.length, 0)
  return Buffer.concat([length, checksum(body), body])
}

/** What stands in a log, and whether all of it could be read. */
function parse(log: Buffer): { entries: Map<string, Uint8Array>; whole: boolean } {
  const entries = new Map<string, Uint8Array>()
  if (!log.subarray(0, MAGIC.length).equals(MAGIC)) return { entries, whole: false }
  let whole = true
  let at = MAGIC.length
  while (at + HEADER <= log.length) {
    const end = at + HEADER + log.readUInt32LE(at)
    const body = log.subarray(at + HEADER, end)
    if (end > log.length || body.length > MAX_BATCH) break
    // One that is damaged does not take those behind it along.
    if (!(checksum(body).equals(log.subarray(at + 4, at + HEADER)) && apply(body, entries))) whole = false
    at = end
  }
  return { entries, whole: whole && at === log.length }
}

/** Makes a batch's changes; false for one that no program of ours wrote. */
function apply(body: Buffer, entries: Map<string, Uint8Array>): boolean {
  let at = 0
  while (at + 3 <= body.length) {
    const put = body.readUInt8(at) === 1
    const start = at + 3
    const end = start + body.readUInt16LE(at + 1)
    const key = body.toString('latin1', start, end)
    at = end
    if (!put) {
      entries.delete(key)
      continue
    }
    if (at + 4 > body.length) return false
    const from = at + 4
    at = from + body.readUInt32LE(at)
    // A copy, so that the log's memory is free again.
    entries.set(key, new Uint8Array(body.subarray(from, at)))
  }
  return at === body.length
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, 8)
}
