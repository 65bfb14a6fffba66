// The package in browsers, in a page and in a worker, against a node in this process.
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { createNode } from 'polypeer'
import { inEachBrowser } from '../../tests/lib/browsers.mjs'
import { inPage, openSite, ready } from './browser/site.mjs'
import { events, gate, kept, MIB, server, transports, until } from './support.mjs'

const unlimited = { duration: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY }

inEachBrowser('page and worker', { timeout: 400_000 }, (browser, { webrtc }) => {
  let node
  let site
  let page

  before(async () => {
    site = await openSite(browser, ['page', 'worker'])
    node = await server([transports.WebSocket])
    node.serve(
      { protocol: { name: '/test/service', versions: '^1.1', own: '1.4.0' } },
      {
        received: (message, session) => {
          const text = new TextDecoder().decode(message).toUpperCase()
          session.send(new TextEncoder().encode(text))
        },
      },
    )
    page = await site.open('page')
  })

  after(async () => {
    await site?.close()
    await node?.close()
  })

  const places = {
    page: (name, ...args) => page.evaluate(([name, args]) => globalThis.inPage(name, ...args), [name, args]),
    worker: (name, ...args) =>
      page.evaluate(([name, args]) => globalThis.inWorker(name, ...args), [name, args]),
  }

  for (const [place, run] of Object.entries(places)) {
    it(`${place}: echoes 16 MiB`, async () => {
      assert.equal(await run('echo', node.addresses, 16 * MIB), true)
    })

    it(`${place}: echoes by the smallest peer, beside the whole one`, async () => {
      assert.equal(await run('mini', node.addresses, MIB), true)
    })

    it(`${place}: pipes web streams`, async () => {
      assert.equal(await run('pipe', node.addresses), true)
    })

    it(`${place}: is a client of a DHT`, async (t) => {
      const servers = []
      for (let at = 0; at < 3; at++) {
        const server = await kept(t, createNode({ dht: { mode: 'server' }, listen: [transports.WebSocket] }))
        if (at > 0) await server.dial(servers[0].addresses)
        servers.push(server)
      }
      await until(() => servers.every(({ dht }) => dht.status.peers > 0))
      await servers[2].dht.provide(Buffer.from('a server provides'))
      await servers[1].ipns.publish('/ipfs/bafkqaaa')
      const { found, value, successes, server, refused, peer } = await run(
        'dht',
        servers[0].addresses,
        place,
        servers[1].peerId,
      )
      assert.deepEqual([found, value, server], [[servers[2].peerId], '/ipfs/bafkqaaa', false])
      assert.equal(refused, 'ERR_UNSUPPORTED')
      assert.ok(successes >= 1)
      const providers = []
      for await (const one of servers[1].dht.findProviders(Buffer.from(`${place} provides`)))
        providers.push(one.peer)
      assert.deepEqual(providers, [peer])
    })

    it(`${place}: pings`, async () => {
      // Clocks of pages may tick in milliseconds.
      assert.ok((await run('ping', node.addresses)) >= 0)
    })

    it(`${place}: says what went wrong`, async () => {
      assert.deepEqual(await run('errors', node.addresses), {
        tcp: 'ERR_UNSUPPORTED',
        refused: 'ERR_TRANSPORT',
        wrong: 'ERR_ADDRESS',
        protocol: 'ERR_PROTOCOL_NOT_SUPPORTED',
        reset: 'ERR_STREAM_RESET',
        listen: 'ERR_UNSUPPORTED',
        load: 'no error', // it is loaded already
      })
    })

    it(`${place}: is told that others cannot be served`, async () => {
      const { codes, reachability } = await run('services')
      assert.deepEqual([...new Set(codes)], ['ERR_UNSUPPORTED'])
      assert.equal(codes.length, 11)
      assert.equal(reachability, 'unknown')
    })

    it(`${place}: has in its next run what it has put into the DHT`, async (t) => {
      const dht = {
        mode: 'server',
        protocol: '/test/kad/1.0.0',
        validators: { n: { validate() {}, isBetter: () => false } },
      }
      const server = await kept(t, createNode({ dht, listen: [transports.WebSocket] }))
      const { found, other } = await run('records', server.addresses, `records-${place}`)
      assert.deepEqual([found, other], [['value'], true])
    })

    it(`${place}: serves a protocol of its own`, async () => {
      assert.deepEqual(await run('service', node.addresses), ['/test/service/1.4.0', 'HELLO'])
    })

    it(`${place}: publishes and subscribes`, async () => {
      const topic = node.pubsub.subscribe('page')
      try {
        const left = run('topic', node.addresses)
        await until(() => topic.peers.length === 1)
        topic.publish('hello')
        const { value } = await topic.next()
        assert.equal(new TextDecoder().decode(value.data), 'HELLO')
        assert.deepEqual([value.from], topic.peers)
        topic.publish('bye')
        assert.equal(await left, node.peerId)
        await until(() => topic.peers.length === 0)
      } finally {
        topic.close()
      }
    })

    it(`${place}: keeps an identity in IndexedDB`, async () => {
      const first = await run('identity', 'kept')
      assert.equal(await run('identity', 'kept'), first)
      assert.notEqual(await run('identity', `other-${place}`), first)
    })

    it(`${place}: takes 10,000 streams that end at random`, async () => {
      const ends = await run('churn', node.addresses, 10_000)
      assert.equal(ends.done + ends.gone, 10_000)
      assert.ok(ends.alive)
      await until(() => node.connections.length === 0)
    })
  }

  it('remembers peers over reloads of its page', async () => {
    for (const note of ['first', 'second']) {
      const peer = await places.page('remember', node.addresses, 'peers', note)
      await page.reload()
      await ready(page)
      assert.deepEqual(await places.page('recall', 'peers', peer), { note, peer: node.peerId })
    }
  })

  it('page and worker talk through a relay, neither of which can be dialed', async () => {
    const relay = await createNode({ listen: [transports.WebSocket], relay: unlimited })
    try {
      const announced = new Promise((resolve) => {
        relay.addEventListener('peer:identify', ({ detail }) => {
          const address = detail.addresses.find((one) => one.includes('/p2p-circuit'))
          if (address !== undefined) resolve(`${address}/p2p/${detail.peer}`)
        })
      })
      const reached = places.worker('reached', relay.addresses[0])
      assert.equal(await places.page('reach', await announced), true)
      assert.match(await reached, /\/p2p-circuit/)
    } finally {
      await relay.close()
    }
  })

  const wakings = {
    'is online': () => globalThis.dispatchEvent(new Event('online')),
    'is resumed': () => document.dispatchEvent(new Event('resume')),
    'comes back from the cache': () =>
      globalThis.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })),
  }
  for (const [name, wake] of Object.entries(wakings)) {
    it(`is connected again when its page ${name}`, async (t) => {
      const [, port] = /tcp\/(\d+)/.exec(node.addresses[0])
      const happens = (expected) =>
        inPage(page, (expected) => globalThis.stayed.log.join(' ') === expected, expected)
      for (const silently of [false, true]) {
        const way = await gate(t, Number(port))
        await places.page('stay', `/ip4/127.0.0.1/tcp/${way.port}/ws/p2p/${node.peerId}`)
        if (silently) {
          way.mute()
        } else {
          // By itself nothing is dialed: nobody asked to keep the peer.
          way.cut()
          await happens('open close')
        }
        await page.evaluate(wake)
        await happens('open close open')
        await places.page('leave')
      }
    })
  }

  it('works without WebRTC, and says what that would be needed for', async (t) => {
    assert.equal(await page.evaluate(() => typeof RTCPeerConnection !== 'undefined'), webrtc)
    const there = await kept(t, server([transports.WebSocket, '/ip4/127.0.0.1/udp/0/webrtc-direct']))
    const relay = await kept(t, createNode({ listen: [transports.WebSocket], relay: unlimited }))
    const reserved = events(there, 'relay:reserved')
    await there.listen(`${relay.addresses[0]}/p2p-circuit`)
    await reserved
    const direct = there.addresses.find((one) => one.includes('/webrtc-direct'))
    const socket = there.addresses.find((one) => one.includes('/ws/p2p/') && !one.includes('p2p-circuit'))
    const relayed = `${relay.addresses[0]}/p2p-circuit/p2p/${there.peerId}`
    const signalled = relayed.replace('p2p-circuit', 'p2p-circuit/webrtc')
    const bare = await site.open('page', () => {
      delete globalThis.RTCPeerConnection
    })
    for (const place of ['inPage', 'inWorker']) {
      const dialed = (addresses) =>
        bare.evaluate(([place, addresses]) => globalThis[place]('reaches', addresses), [place, addresses])
      assert.equal(await dialed(direct), 'ERR_UNSUPPORTED')
      assert.equal(await dialed(signalled), 'ERR_UNSUPPORTED')
      assert.equal(await dialed([direct, socket]), socket)
      assert.equal(await dialed([signalled, relayed]), relayed)
      const asked = await bare.evaluate((place) => globalThis[place]('asksForWebrtc'), place)
      assert.deepEqual(asked, ['ERR_UNSUPPORTED', 'ERR_UNSUPPORTED'])
    }
    await bare.close()
  })

  it('page and worker share an identity of one name', async () => {
    assert.equal(await places.page('identity', 'kept'), await places.worker('identity', 'kept'))
  })

  it('loads a module that the server misnames', async () => {
    site.types.wasm = 'application/octet-stream'
    page = await site.open('page')
    assert.equal(await places.page('echo', node.addresses, 1000), true)
  })

  it('says what to do where there is no module', async () => {
    site.files.delete('/generated/core_bg.wasm')
    page = await site.open('page')
    await assert.rejects(places.page('ping', node.addresses), /LoadError.*404/)
    site.files.set('/generated/core_bg.wasm', '<!doctype html>')
    page = await site.open('page')
    await assert.rejects(
      places.page('ping', node.addresses),
      /not a WebAssembly module.*createNode\(\{ wasm: url \}\)/,
    )
  })

  it('reported no uncaught error', () => {
    assert.deepEqual(site.problems, [])
  })
})
