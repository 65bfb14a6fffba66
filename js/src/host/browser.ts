/** Pages and workers. */

import { UnsupportedError } from '../errors.js'
import type { Host } from '../host.js'
import { verify } from '../verify.js'
import { dialWebSocket } from './websocket.js'

/** What a page or a worker can do: dial WebSockets. */
export const browserHost: Host = {
  dial: async (address, signal) => dialWebSocket(address, signal),
  listen: (address) =>
    Promise.reject(
      new UnsupportedError(
        `a page cannot listen on ${address}: it is reached over connections that it opened`,
      ),
    ),
  defer: (callback) => queueMicrotask(callback),
  unref: () => {},
  verify,
}
