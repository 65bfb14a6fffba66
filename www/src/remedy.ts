/** What went wrong, in words for a person, and what helps. */

import { DialError, PolypeerError } from 'polypeer'
import { chosenServer, NoServerError } from './server'

/** A trouble and its remedy. */
export interface Advice {
  readonly title: string
  readonly remedy: string
  /** What a programmer wants to know. */
  readonly detail: string
}

/** Whether trying again would end the same way: the address itself has to change. */
export function isFinal(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ERR_ADDRESS' || code === 'ERR_UNSUPPORTED'
}

export function adviceOn(error: unknown): Advice {
  const detail = error instanceof Error ? error.message : String(error)
  if (error instanceof NoServerError) {
    return {
      title: 'No server is known',
      remedy:
        'Run “npm start” in the project and leave it running, or give the address of a server under “Use another server”.',
      detail,
    }
  }
  switch (codeOf(error)) {
    case 'ERR_ADDRESS':
      return {
        title: 'This address cannot be read',
        remedy:
          'It should look like /ip4/127.0.0.1/tcp/4001/ws/p2p/12D3KooW…, as “polypeer serve” prints it.',
        detail,
      }
    case 'ERR_UNSUPPORTED':
      return {
        title: 'A page cannot dial this kind of address',
        remedy: 'Give a WebSocket address of the server: one with /ws or /wss in it.',
        detail,
      }
    case 'ERR_WRONG_PEER':
      return {
        title: 'Somebody else answers at this address',
        remedy:
          'The server has another key than the address says. Give its present address, with its PeerId.',
        detail,
      }
    case 'ERR_PROTOCOL_NOT_SUPPORTED':
      return {
        title: 'This peer has no chat room',
        remedy: 'It speaks libp2p, but not this page’s protocol. Give the address of a “polypeer serve”.',
        detail,
      }
    case 'ERR_STREAM_RESET':
      return {
        title: 'The server showed this page the door',
        remedy: 'The room may be full, or too many of your pages may be in it. Close some.',
        detail,
      }
    default:
      return {
        title: 'The server cannot be reached',
        remedy:
          chosenServer() === undefined
            ? 'Run “npm start” in the project and leave it running. This page comes back by itself.'
            : 'Make sure that it runs and that the address is right. This page comes back by itself.',
        detail,
      }
  }
}

/** The code of an error; of a failed dial, that of its last attempt. */
function codeOf(error: unknown): string | undefined {
  if (error instanceof DialError) return error.attempts.at(-1)?.error.code ?? error.code
  return error instanceof PolypeerError ? error.code : undefined
}
