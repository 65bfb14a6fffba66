/**
 * The door through which the core asks the application whether a record is good. The
 * module imports these functions.
 */

/** Judges the records of a namespace. It is asked while the node works: it must not call the node. */
export interface DhtValidator {
  /** Throws if the record is not good; whoever wants to put it is told the message. */
  validate(key: Uint8Array, value: Uint8Array): void
  /** Whether `value` is better than `other`; both are good. */
  isBetter(key: Uint8Array, value: Uint8Array, other: Uint8Array): boolean
}

const validators = new Map<number, DhtValidator>()
let last = 0

/** The number that stands for a validator, until the core releases it. */
export function register(validator: DhtValidator): number {
  validators.set(++last, validator)
  return last
}

/** Nobody asks this validator any more. */
export function release(validator: number): void {
  validators.delete(validator)
}

/** Why a record is not good; nothing if it is. */
export function validate(validator: number, key: Uint8Array, value: Uint8Array): string | undefined {
  try {
    // Copies: the module's memory may move.
    validators.get(validator)?.validate(key.slice(), value.slice())
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Whether a record is better than another; one whose validator throws is not. */
export function is_better(validator: number, key: Uint8Array, value: Uint8Array, other: Uint8Array): boolean {
  try {
    return validators.get(validator)?.isBetter(key.slice(), value.slice(), other.slice()) ?? false
  } catch {
    return false
  }
}
