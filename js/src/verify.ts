/** Signatures of key types that few peers use, checked by the platform's WebCrypto. */

import type { VerifyRequest } from './core.js'

const RSA = 0
const ECDSA = 3

/** Checks a signature; false also where the platform does not know the key's algorithm. */
export async function verify({ keyType, publicKey, message, signature }: VerifyRequest): Promise<boolean> {
  const { subtle } = crypto
  // RSA keys are the PKIX form, signed with PKCS #1 v1.5 over SHA-256 (libp2p specs, "peer-ids").
  if (keyType === RSA) {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    const key = await subtle.importKey('spki', publicKey, algorithm, false, ['verify'])
    return subtle.verify(algorithm, key, signature, message)
  }
  if (keyType === ECDSA) {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const raw = rawSignature(signature)
    if (raw === undefined) return false
    const key = await subtle.importKey('spki', publicKey, algorithm, false, ['verify'])
    return subtle.verify(algorithm, key, raw, message)
  }
  return false
}

/** WebCrypto wants the two numbers of an ECDSA signature as 32 bytes each; libp2p sends them in DER. */
function rawSignature(der: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const raw = new Uint8Array(64)
  if (der[0] !== 0x30 || der[1] !== der.length - 2) return undefined
  let at = 2
  for (const end of [32, 64]) {
    const length = der[at + 1] ?? 0
    if (der[at] !== 0x02 || at + 2 + length > der.length) return undefined
    const number = der.subarray(at + 2, at + 2 + length)
    const digits = number[0] === 0 ? number.subarray(1) : number
    if (digits.length > 32) return undefined
    raw.set(digits, end - digits.length)
    at += 2 + length
  }
  return at === der.length ? raw : undefined
}
