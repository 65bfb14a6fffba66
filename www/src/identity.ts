/** Who this page is: one identity per page that is open, the same again after a reload. */

import { indexedDbKeyStore, type KeyStore } from 'polypeer'

/** Pages of one browser that keep their identity; further ones are new each time. */
const MAX_SEATS = 16
/** How long a reloaded page waits for its former self to let go of its seat, in milliseconds. */
const HANDOVER_MS = 1_000
const LAST_SEAT = 'polypeer-demo-seat'

/**
 * Where the key of this page is kept. Pages of one browser share a database but
 * must be peers of their own, so each takes a numbered seat for as long as it is
 * open (a Web Lock) and the identity that belongs to it. Undefined where the
 * browser has no locks, or too many pages are open.
 */
export async function keyStore(): Promise<KeyStore | undefined> {
  // Not in a page that came over plain HTTP from another machine.
  if (navigator.locks === undefined) return undefined
  const seat = await takeSeat()
  if (seat === undefined) return undefined
  sessionStorage.setItem(LAST_SEAT, String(seat))
  return indexedDbKeyStore(`polypeer-demo-${seat}`)
}

async function takeSeat(): Promise<number | undefined> {
  const last = Number(sessionStorage.getItem(LAST_SEAT))
  if (last > 0 && (await hold(last, { signal: AbortSignal.timeout(HANDOVER_MS) }))) return last
  for (let seat = 1; seat <= MAX_SEATS; seat++) {
    if (await hold(seat, { ifAvailable: true })) return seat
  }
  return undefined
}

/** Takes the lock of a seat until the page goes; whether it was to be had. */
function hold(seat: number, options: LockOptions): Promise<boolean> {
  return new Promise((resolve) => {
    navigator.locks
      .request(`polypeer-demo-${seat}`, options, (lock) => {
        resolve(lock !== null)
        return lock === null ? undefined : new Promise<never>(() => {})
      })
      .catch(() => resolve(false))
  })
}
