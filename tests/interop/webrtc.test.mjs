// Pages of js-libp2p and of the npm package: to each other through relays, and to
// servers without a name or a certificate.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { launch, openPage } from '../lib/browser.mjs'
import { failures, listen, missing, peers } from '../lib/peers.mjs'
import { makePeer } from '../peers/polypeer-node/adapter.mjs'
import { echo, perf, readAll } from '../peers/shared/protocols.mjs'

const agents = { js: peers['js-node'].agent, polypeer: peers['polypeer-native'].agent }
/** Who listens and who dials, one of them ours. */
const pairs = [
  ['polypeer', 'polypeer'],
  ['polypeer', 'js'],
  ['js', 'polypeer'],
]

let browser
before(async () => {
  browser = await launch()
})
after(() => browser?.close())

for (const relay of ['polypeer-native', 'js-node', 'go']) {
  describe(`through the relay of ${relay}`, { skip: missing(relay) }, () => {
    let place
    before(async () => {
      place = await listen(relay, 'ws', { command: 'relay' })
    })
    after(() => place?.close())
    for (const [listener, dialer] of pairs) {
      test(`a page of ${dialer} dials one of ${listener}`, { timeout: 180_000 }, async () => {
        const pages = [await openPage(browser, listener, 'page'), await openPage(browser, dialer, 'page')]
        try {
          const places = ['/webrtc', `${place.address}/p2p-circuit`]
          const address = await pages[0].run('listen', places, '/p2p-circuit/webrtc/p2p/')
          const report = await pages[1].run('dial', address, { agent: agents[listener] })
          assert.deepEqual(failures(report), [])
        } finally {
          for (const page of pages) await page.close()
        }
      })
    }
  })
}

const servers = {
  go: ['polypeer'],
  // Messages of js-libp2p are too long for it.
  rust: ['polypeer'],
  'polypeer-native': ['polypeer', 'js'],
  'polypeer-node': ['polypeer', 'js'],
  // It knows version 1 alone.
  'js-node': ['polypeer'],
}

for (const [server, dialers] of Object.entries(servers)) {
  for (const dialer of dialers) {
    test(`a page of ${dialer} dials ${server} by WebRTC direct`, {
      skip: missing(server),
      timeout: 180_000,
    }, async () => {
      const { address, close } = await listen(server, 'webrtc-direct')
      const page = await openPage(browser, dialer, 'page')
      try {
        assert.match(address, /\/webrtc-direct\/certhash\//)
        const report = await page.run('dial', address, { agent: peers[server].agent })
        assert.deepEqual(failures(report), [])
      } finally {
        await page.close()
        await close()
      }
    })
  }
}

test('a page that reads slowly what js-node sends without windows is told so', {
  timeout: 180_000,
}, async () => {
  const { address, close } = await listen('js-node', 'webrtc-direct')
  const page = await openPage(browser, 'polypeer', 'page')
  try {
    const end = await page.run('slowly', address, { bytes: 64 << 20, rest: 100 })
    assert.deepEqual(end, { name: 'LimitError', code: 'ERR_LIMIT' })
  } finally {
    await page.close()
    await close()
  }
})

/** Has `use` do something with a peer in Node that is connected with `server` by WebRTC direct. */
async function inNode(server, use) {
  const { address, close } = await listen(server, 'webrtc-direct')
  const peer = await makePeer({})
  try {
    await peer.connect(address)
    await use(peer)
  } finally {
    await peer.close()
    await close()
  }
}

for (const server of ['go', 'js-node']) {
  test(`a slow reader in Node loses nothing of what ${server} sends without windows`, {
    skip: missing(server),
    timeout: 180_000,
  }, async () => {
    await inNode(server, async (peer) => {
      const stream = await peer.open(perf)
      const [bytes, perMs] = [24 << 20, 3 << 10]
      const length = new DataView(new ArrayBuffer(8))
      length.setBigUint64(0, BigInt(bytes))
      await stream.write(new Uint8Array(length.buffer))
      await stream.closeWrite()
      let count = 0
      for (let part = await stream.read(); part; part = await stream.read()) {
        count += part.length
        await setTimeout(part.length / perMs)
      }
      assert.equal(count, bytes)
    })
  })
}

for (const server of ['go', 'rust', 'js-node']) {
  test(`Node has more streams, one after another, with ${server} than a connection has ids`, {
    skip: missing(server),
    timeout: 180_000,
  }, async () => {
    await inNode(server, async (peer) => {
      for (let nth = 0; nth < 600; nth++) {
        const stream = await peer.open(echo)
        await stream.write(new Uint8Array([nth % 256]))
        await stream.closeWrite()
        assert.deepEqual(await readAll(stream), new Uint8Array([nth % 256]))
      }
    })
  })
}

test('a page whose browser lets nobody change its description dials by WebRTC direct', {
  timeout: 180_000,
}, async () => {
  const strict = await launch(['--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/'])
  const { address, close } = await listen('polypeer-node', 'webrtc-direct')
  const page = await openPage(strict, 'polypeer', 'page')
  try {
    // What version 1 wants, and all Chromes are to refuse.
    const refusal = await page.page.evaluate(async () => {
      const connection = new RTCPeerConnection()
      connection.createDataChannel('')
      const { sdp } = await connection.createOffer()
      const changed = sdp.replace(/a=ice-ufrag:.*/g, 'a=ice-ufrag:libp2p+webrtc+v1/something')
      return connection.setLocalDescription({ type: 'offer', sdp: changed }).then(
        () => 'none',
        ({ name }) => name,
      )
    })
    assert.equal(refusal, 'InvalidModificationError')
    const report = await page.run('dial', address, { agent: agents.polypeer })
    assert.deepEqual(failures(report), [])
  } finally {
    await page.close()
    await close()
    await strict.close()
  }
})
