/**
 * A file of values under keys: a log to which each write is appended as a whole,
 * behind its length and checksum. When more than half of it is out of date, a new
 * one takes its place by one renaming.
 *
 * ```text
 * file   = <a line that says of what> batch*
 * batch  = <length: u32> <first 8 bytes of the SHA-256 of what follows> change*
 * change = <1: put, 0: delete> <key's length: u16> key (put: <value's length: u32> value)
 * ```
 *
 * Numbers are little endian. A batch that a sudden end cut off, or whose
 * checksum is wrong, is left out as if it had never been written. Values stay in the
 * file; memory has their keys.
 */

import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { StoreChange } from './types.js'

const HEADER = 4 + 8
/** The longest batch that is taken for one, in bytes. */
const MAX_BATCH = 128 << 20
/** A log is written anew when it has this many bytes more than twice of what counts. */
const SLACK = 256 << 10
/** So many bytes are read or written at a time. */
const CHUNK = 1 << 20

/** Where a value stands. */
interface Spot {
  readonly at: number
  readonly length: number
}

/** One call at a time, but for `has`. Keys are bytes as `latin1` text. */
export class Log {
  readonly #path: string
  readonly #magic: Buffer
  #file: FileHandle | undefined
  /** Bytes of the log, and those of the changes that count. */
  #length = 0
  #liveBytes = 0
  #live = new Map<string, Spot>()
  /** Something stands behind its end that could not be cut off, or in it that is damaged. */
  #isTorn = false
  /** It is not written anew before it is so long, where there was no room for that. */
  #patience = 0

  /** `kind` is the first line of the file, and ends with a line break. */
  constructor(path: string, kind: string) {
    this.#path = path
    this.#magic = Buffer.from(kind)
  }

  /** Opens or makes the file, readable by its owner alone, and tells what was put, in order. */
  async open(put: (key: string, value: Buffer) => void): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true })
    const file = await open(this.#path, 'a+', 0o600)
    this.#file = file
    this.#length = (await file.stat()).size
    if (await this.#parse(file, put)) return
    try {
      await this.#rewrite(file)
    } catch (error) {
      // On a full disk what is there can be read all the same.
      if (this.#live.size === 0) throw error
      this.#isTorn = true
    }
  }

  /** The value of a key. */
  async read(key: string): Promise<Buffer | undefined> {
    const spot = this.#live.get(key)
    return spot && readAt(this.#opened(), spot)
  }

  /** All keys that have a value. */
  keys(): IterableIterator<string> {
    return this.#live.keys()
  }

  /** Makes all of these changes or none; done when they outlast the machine's power. */
  async write(changes: readonly StoreChange[]): Promise<void> {
    let file = this.#opened()
    if (this.#isTorn) file = await this.#rewrite(file)
    const batch = encode(changes)
    const start = this.#length
    try {
      await file.appendFile(batch)
      await file.datasync()
    } catch (error) {
      // Part of a batch would hide those behind it.
      await file.truncate(start).catch(() => {
        this.#isTorn = true
      })
      throw error
    }
    this.#length += batch.length
    apply(batch.subarray(HEADER), start + HEADER, (key, spot) => this.#count(key, spot))
    if (this.#length <= Math.max(2 * this.#liveBytes + SLACK, this.#patience)) return
    // It is written already: that there is no room to write it anew is no failure of it.
    await this.#rewrite(file).catch(() => {
      this.#patience = this.#length + SLACK
    })
  }

  /** From now on the key has no value, which the file tells when it is written anew. */
  forget(key: string): void {
    this.#count(key, undefined)
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #opened(): FileHandle {
    if (this.#file === undefined) throw new Error('the file is not open')
    return this.#file
  }

  #count(key: string, spot: Spot | undefined): void {
    const cost = ({ length }: Spot): number => 1 + 2 + key.length + 4 + length
    const old = this.#live.get(key)
    if (old !== undefined) this.#liveBytes -= cost(old)
    if (spot === undefined) {
      this.#live.delete(key)
    } else {
      this.#live.set(key, spot)
      this.#liveBytes += cost(spot)
    }
  }

  /** Reads the whole log; whether all of it could be read. */
  async #parse(file: FileHandle, put: (key: string, value: Buffer) => void): Promise<boolean> {
    const view = new View(file)
    if (!(await view.bytes(0, this.#magic.length)).equals(this.#magic)) return false
    let whole = true
    let at = this.#magic.length
    while (at + HEADER <= this.#length) {
      const header = await view.bytes(at, HEADER)
      const length = header.readUInt32LE(0)
      const sum = Buffer.from(header.subarray(4))
      if (at + HEADER + length > this.#length || length > MAX_BATCH) break
      const body = await view.bytes(at + HEADER, length)
      const each = (key: string, spot: Spot | undefined, value: Buffer): void => {
        this.#count(key, spot)
        if (spot !== undefined) put(key, value)
      }
      // One that is damaged does not take those behind it along.
      if (!(checksum(body).equals(sum) && apply(body, at + HEADER, each))) whole = false
      at += HEADER + length
    }
    return whole && at === this.#length
  }

  /** Puts a log of nothing but what counts in place of the present one. */
  async #rewrite(old: FileHandle): Promise<FileHandle> {
    const draft = `${this.#path}.new`
    await rm(draft, { force: true })
    const file = await open(draft, 'ax+', 0o600)
    const live = new Map<string, Spot>()
    let length = this.#magic.length
    try {
      await file.appendFile(this.#magic)
      let changes: StoreChange[] = []
      let bytes = 0
      const flush = async (): Promise<void> => {
        if (changes.length === 0) return
        const batch = encode(changes)
        await file.appendFile(batch)
        apply(batch.subarray(HEADER), length + HEADER, (key, spot) => spot && live.set(key, spot))
        length += batch.length
        changes = []
        bytes = 0
      }
      for (const [key, spot] of this.#live) {
        changes.push({ key: Buffer.from(key, 'latin1'), value: await readAt(old, spot) })
        bytes += spot.length
        if (bytes > CHUNK) await flush()
      }
      await flush()
      await file.sync()
      await rename(draft, this.#path)
    } catch (error) {
      await file.close()
      await rm(draft, { force: true }).catch(() => {})
      throw error
    }
    await old.close()
    this.#file = file
    this.#live = live
    this.#length = length
    this.#isTorn = false
    this.#patience = 0
    await syncFolder(dirname(this.#path))
    return file
  }
}

/** Bytes of a file, read some way ahead. */
class View {
  readonly #file: FileHandle
  #at = 0
  #bytes: Buffer = Buffer.alloc(0)

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** Good until the next call; fewer at the file's end. */
  async bytes(at: number, length: number): Promise<Buffer> {
    if (at < this.#at || at + length > this.#at + this.#bytes.length) {
      this.#at = at
      this.#bytes = await readAt(this.#file, { at, length: Math.max(length, CHUNK) })
    }
    return this.#bytes.subarray(at - this.#at, at - this.#at + length)
  }
}

async function readAt(file: FileHandle, { at, length }: Spot): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at)
  return buffer.subarray(0, bytesRead)
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

/**
 * Tells of each change of a batch, whose body stands at `start` in the file; false for one
 * that no program of ours wrote.
 */
function apply(
  body: Buffer,
  start: number,
  each: (key: string, spot: Spot | undefined, value: Buffer) => void,
): boolean {
  let at = 0
  while (at + 3 <= body.length) {
    const put = body.readUInt8(at) === 1
    const end = at + 3 + body.readUInt16LE(at + 1)
    const key = body.toString('latin1', at + 3, end)
    at = end
    if (!put) {
      each(key, undefined, body.subarray(at, at))
      continue
    }
    if (at + 4 > body.length) return false
    const from = at + 4
    at = from + body.readUInt32LE(end)
    if (at > body.length) return false
    each(key, { at: start + from, length: at - from }, body.subarray(from, at))
  }
  return at === body.length
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, 8)
}
