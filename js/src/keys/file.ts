/** A private key in a file. */

import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { KeyError } from '../errors.js'
import type { KeyStore } from '../types.js'

/**
 * Keeps the private key in the file `path`, readable by its owner alone (mode
 * 0600). A file that is there is never overwritten. Node only.
 *
 * @example
 * ```ts
 * const node = await createNode({ keyStore: fileKeyStore('./peer.key') })
 * ```
 */
export function fileKeyStore(path: string): KeyStore {
  const load = async (): Promise<Uint8Array | undefined> => {
    try {
      return new Uint8Array(await readFile(path))
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined
      throw new KeyError(`${path} cannot be read: ${(error as Error).message}`, { cause: error })
    }
  }
  return {
    load,
    async save(key) {
      // Written whole under another name, then linked: whoever looks finds no
      // file or all of it, and of two programs that start together one wins.
      const draft = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.new`
      try {
        await mkdir(dirname(path), { recursive: true })
        await writeFile(draft, key, { mode: 0o600, flag: 'wx' })
        await chmod(draft, 0o600)
        await link(draft, path)
        return key
      } catch (error) {
        const kept = isCode(error, 'EEXIST') ? await load() : undefined
        if (kept !== undefined) return kept
        throw new KeyError(`${path} cannot be written: ${(error as Error).message}`, { cause: error })
      } finally {
        await rm(draft, { force: true })
      }
    },
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
