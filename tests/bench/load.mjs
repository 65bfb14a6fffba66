// A page that connects as soon as it is loaded, to the address behind the `#` of its
// own, and tells the milliseconds since the browser began to load it.
import { makePeer } from 'adapter'

globalThis.milliseconds = (async () => {
  const peer = await makePeer()
  await peer.connect(location.hash.slice(1))
  return performance.now()
})()
