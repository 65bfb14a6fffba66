/** What a node of a DHT keeps for others, in a store behind its memory. */

import { PolypeerError } from '../errors.js'

/** Entries that a store finds at one place, at most. */
export const MAX_FOUND = 64

/** A record, or somebody who provides something: bytes that the core understands. */
export interface StoredRecord {
  /** Where it is: 33 bytes. */
  readonly place: Uint8Array
  /** Its name there, of 42 bytes at most: one entry a name. */
  readonly name: Uint8Array
  /** What it is, of 128 KiB at most. */
  readonly value: Uint8Array
  /** When it is of no use any more, in milliseconds of Unix time; may be infinite. */
  readonly expires: number
}

/** How much a store holds. What would expire first makes room. */
export interface RecordLimits {
  /** Entries; 32,768. */
  readonly entries?: number | undefined
  /** Bytes of their values; 64 MiB. */
  readonly bytes?: number | undefined
}

/**
 * Where records and providers are kept behind a node's memory: a file, a database. Bounded,
 * after `tidy` at the latest. Of these calls several may be under way at a time.
 */
export interface RecordStore {
  /** Opens it; called once, first. */
  open(): Promise<void>
  /** What is at a place, 64 entries at most, those that expire last before others, expired or not. */
  find(place: Uint8Array): Promise<readonly StoredRecord[]>
  /** Puts all of these in place of those of the same place and name, or none. */
  write(entries: readonly StoredRecord[]): Promise<void>
  /** Forgets what has expired by then, in milliseconds of Unix time, and what is too much. */
  tidy(unixMillis: number): Promise<void>
  /** Closes it; called once, last. */
  close(): Promise<void>
}

/** The limits with what was left out. */
export function limitsOf({ entries = 32_768, bytes = 64 << 20 }: RecordLimits): Required<RecordLimits> & {
  entries: number
  bytes: number
} {
  return { entries, bytes }
}

/** A store of records cannot be read or written: a full disk, a forbidden database. */
export class RecordStoreError extends PolypeerError {
  override name = 'RecordStoreError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_RECORD_STORE', message, options)
  }
}
