/**
 * The door through which the core reaches a faster ChaCha20-Poly1305 and Ed25519 than
 * its own, where the platform has them: Node's, in OpenSSL. The module imports these
 * functions; they work in the module's memory and never call back.
 */

/** A ChaCha20-Poly1305 (RFC 8439) that works in place. */
export interface Ciphers {
  /** Takes a key of 32 bytes; the number stands for it until it is released. */
  prepare(key: Uint8Array): number
  /** Forgets a key. */
  release(key: number): void
  /** Encrypts `data` and writes the 16 bytes of the tag. */
  seal(key: number, nonce: number, data: Uint8Array, tag: Uint8Array): void
  /** Decrypts `data`; false if the tag does not fit, and `data` is then of no use. */
  open(key: number, nonce: number, data: Uint8Array, tag: Uint8Array): boolean
  /** Whether an Ed25519 signature (RFC 8032) of a key of 32 bytes fits. */
  verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
}

let ciphers: Ciphers | undefined

/** Gives the core faster ciphers, before the first node is made. */
export function install(faster: Ciphers): void {
  ciphers = faster
}

/** See {@link Ciphers.prepare}. Called by the core only when ciphers were installed. */
export function prepare(key: Uint8Array): number {
  return ciphers?.prepare(key) ?? 0
}

/** See {@link Ciphers.release}. */
export function release(key: number): void {
  ciphers?.release(key)
}

/** See {@link Ciphers.seal}. Called by the core only when ciphers were installed. */
export function seal(key: number, nonce: number, data: Uint8Array, tag: Uint8Array): void {
  ciphers?.seal(key, nonce, data, tag)
}

/** See {@link Ciphers.open}. Called by the core only when ciphers were installed. */
export function open(key: number, nonce: number, data: Uint8Array, tag: Uint8Array): boolean {
  return ciphers?.open(key, nonce, data, tag) ?? false
}

/** See {@link Ciphers.verify}. Called by the core only when ciphers were installed. */
export function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return ciphers?.verify(key, message, signature) ?? false
}
