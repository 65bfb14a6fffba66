// A shared worker with a node, to which pages lend their peer connections.
import { createNode } from 'polypeer'
import { ECHO } from './bytes.mjs'

let node

async function start(webrtc) {
  const made = await createNode({ webrtc })
  made.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable))
  return made
}

const actions = {
  async listen(relay) {
    const own = await node
    const reserved = new Promise((resolve) => {
      own.addEventListener('relay:reserved', resolve, { once: true })
    })
    await own.listen('/webrtc')
    await own.listen(`${relay}/p2p-circuit`)
    await reserved
    return own.addresses.find((one) => one.includes('/p2p-circuit/webrtc/p2p/'))
  },
  connections: async () => (await node).connections.map(({ remoteAddress }) => remoteAddress),
}

globalThis.onconnect = ({ ports: [port] }) => {
  port.onmessage = async ({ data, ports }) => {
    if (data === 'lend') {
      if (node === undefined) node = start(ports[0])
      else (await node).borrowWebRTC(ports[0])
      return
    }
    const { call, name, args } = data
    try {
      port.postMessage({ call, result: await actions[name](...args) })
    } catch (error) {
      port.postMessage({ call, error: error.stack ?? String(error) })
    }
  }
}
