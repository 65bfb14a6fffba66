// WebRTC of pages: two that nobody can dial, through a relay in this process and then
// directly, and one that dials a node in this process.
import assert from 'node:assert/strict'
import { after, before, beforeEach, it } from 'node:test'
import { createNode } from 'polypeer'
import { inEachBrowser } from '../../tests/lib/browsers.mjs'
import { openPerson } from './browser/people.mjs'
import { openSite } from './browser/site.mjs'
import {
  between,
  ECHO,
  kept,
  MIB,
  portOf,
  random,
  readAll,
  server,
  transports,
  turns,
  until,
  withPort,
} from './support.mjs'

const DIRECT = '/ip4/127.0.0.1/udp/0/webrtc-direct'
const free = { duration: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY }
/** So that ICE finds no way: candidates of TURN servers only, and there is none. */
const blockUdp = () => {
  const Open = globalThis.RTCPeerConnection
  globalThis.RTCPeerConnection = class extends Open {
    constructor(options) {
      super({ ...options, iceTransportPolicy: 'relay' })
    }
  }
}

/**
 * So that ICE finds no way before it is restarted: nobody gets the first candidates of the
 * other. With `fails` it says so at once. What is done is counted.
 */
const losing = (fails) => `() => (${lose})(${fails})`
const lose = (fails) => {
  const Open = globalThis.RTCPeerConnection
  const seen = { made: 0, unhandled: 0, early: 0, ends: 0, names: [] }
  globalThis.seen = seen
  globalThis.RTCPeerConnection = class extends Open {
    #remotes = 0
    constructor(options) {
      super(options)
      seen.made++
    }
    #look() {
      const handlers = [this.onicecandidate, this.ondatachannel, this.onconnectionstatechange]
      if (handlers.includes(null)) seen.unhandled++
    }
    setLocalDescription(description) {
      this.#look()
      seen.names.push(/a=ice-ufrag:(.*)/.exec(description.sdp)[1])
      return super.setLocalDescription(description)
    }
    async setRemoteDescription({ type, sdp }) {
      this.#look()
      const first = ++this.#remotes === 1
      await super.setRemoteDescription({ type, sdp: first ? sdp.replace(/a=candidate:.*\r\n/g, '') : sdp })
      if (!first || !fails) return
      Object.defineProperty(this, 'connectionState', { value: 'failed', configurable: true })
      this.dispatchEvent(new Event('connectionstatechange'))
      delete this.connectionState
    }
    async addIceCandidate(candidate) {
      if (this.#remotes === 0) seen.early++
      if (!candidate?.candidate) seen.ends++
      if (this.#remotes > 1) await super.addIceCandidate(candidate)
    }
  }
}

inEachBrowser('WebRTC', { timeout: 900_000, webrtc: true }, (browser) => {
  let site
  let relay
  const opened = []

  before(async () => {
    site = await openSite(browser, ['rtc', 'shared'])
  })
  beforeEach(async () => {
    for (const page of opened.splice(0)) await page.close()
    await relay?.close()
    relay = await createNode({ listen: [transports.WebSocket], relay: true })
  })
  after(async () => {
    await site?.close()
    await relay?.close()
  })

  async function open(before) {
    const { page, person } = await openPerson(site, before)
    opened.push(page)
    return person
  }

  async function two({ options, before = [] } = {}) {
    const [alice, bob] = [await open(before[0]), await open(before[1])]
    const [, peer] = [await alice.start(options), await bob.start()]
    return { alice, bob, peer, ...(await bob.listen(relay.addresses[0])) }
  }

  const logged = async (one, type) => {
    for (;;) {
      const found = (await one.log()).find((entry) => entry.type === type)
      if (found !== undefined) return found
      await turns(50)
    }
  }

  it('are connected directly at an address of WebRTC, and 64 MiB come back', async () => {
    const { alice, peer, direct } = await two()
    const { remote, code } = await alice.dial(direct)
    assert.equal(code, undefined)
    assert.match(remote, /\/p2p-circuit\/webrtc\/p2p\//)
    const { same, over } = await alice.echo(peer, 64 * MIB)
    assert.ok(same)
    assert.equal(over, remote)
    assert.ok((await alice.latency(peer)) >= 0)
  })

  it('carry a thousand streams one after another, and a slow reader loses nothing', async () => {
    const { alice, peer, direct } = await two()
    await alice.dial(direct)
    assert.equal(await alice.streams(peer, 1_100), 1_100)
    assert.equal(await alice.sink(peer, 16 * MIB, 200), 16 * MIB)
    assert.equal(await alice.streams(peer, 10), 10)
  })

  it('become direct by themselves, and go on when the relay is gone', async () => {
    const { alice, bob, peer, relayed } = await two()
    assert.match((await alice.dial(relayed)).remote, /\/p2p-circuit\/p2p\//)
    for (const one of [alice, bob]) {
      assert.match((await logged(one, 'connection:upgraded')).to, /\/p2p-circuit\/webrtc\/p2p\//)
    }
    // More than the relay would carry.
    assert.ok((await alice.echo(peer, MIB)).same)
    await relay.close()
    const { same, over } = await alice.echo(peer, MIB)
    assert.ok(same)
    assert.match(over, /webrtc/)
  })

  it('stay relayed where there is no way', async () => {
    const { alice, bob, peer, relayed } = await two({ before: [blockUdp] })
    await alice.dial(relayed)
    const failed = await logged(alice, 'upgrade:failed')
    assert.match(failed.to, /\/p2p-circuit\/p2p\//)
    assert.equal(failed.after, 2_000)
    for (const one of [alice, bob]) {
      assert.ok(
        !(await one.log()).some(({ type, to }) => type === 'connection:close' && to.includes('p2p-circuit')),
      )
    }
    assert.equal((await alice.connections()).filter((to) => to.includes(peer)).length, 1)
  })

  // The channels of Firefox are lost where ICE has failed.
  for (const fails of browser === 'Chromium' ? [true, false] : [false]) {
    const how = fails ? 'fails' : 'neither fails nor connects'
    it(`restart ICE that ${how}, with the peer connections that they have`, async () => {
      const { alice, bob, peer, relayed } = await two({ before: [losing(fails), losing(false)] })
      await alice.dial(relayed)
      for (const one of [alice, bob]) {
        await logged(one, 'connection:upgraded')
        assert.ok(!(await one.log()).some(({ type }) => type === 'upgrade:failed'))
      }
      assert.ok((await alice.echo(peer, MIB)).same)
      for (const page of opened) {
        const { made, unhandled, early, ends, names } = await page.evaluate(() => globalThis.seen)
        assert.deepEqual({ made, unhandled, early }, { made: 1, unhandled: 0, early: 0 })
        assert.equal(new Set(names).size, 2, 'two descriptions')
        // There is time for them where ICE is not restarted at once.
        assert.ok(fails || ends > 0, 'the end of the candidates')
      }
    })
  }

  it('end when one hangs up, or its page is closed', async () => {
    const { alice, bob, peer, direct } = await two({ options: { upgrade: false } })
    await alice.dial(direct)
    await alice.hangUp(peer)
    await logged(bob, 'connection:close')
    assert.equal((await alice.dial(direct)).code, undefined)
    const before = (await alice.log()).filter(({ type }) => type === 'connection:close').length
    await opened[1].close()
    while ((await alice.log()).filter(({ type }) => type === 'connection:close').length === before)
      await turns(50)
  })

  it('work from a worker to which pages lend theirs, and another takes over', async () => {
    await relay.close()
    relay = await createNode({ listen: [transports.WebSocket], relay: free })
    const [first, second, alice] = [await open(), await open(), await open()]
    await first.worker()
    await second.worker()
    const inWorker = (...args) => opened[1].evaluate((args) => globalThis.inWorker(...args), args)
    const address = await inWorker('listen', relay.addresses[0])
    const peer = address.split('/p2p/').at(-1)
    await alice.start()
    assert.equal((await alice.dial(address)).code, undefined)
    assert.ok((await alice.echo(peer, 8 * MIB)).same)
    await opened[0].close()
    await logged(alice, 'connection:close')
    const start = performance.now()
    while ((await alice.dial(address, { force: true })).code !== undefined) await turns(100)
    assert.ok((await alice.echo(peer, MIB)).same)
    assert.ok(performance.now() - start < 30_000)
  })

  for (const [family, listen] of [
    ['IPv4', DIRECT],
    ['IPv6', '/ip6/::1/udp/0/webrtc-direct'],
  ]) {
    it(`dials a node that has no name, over ${family}`, async (t) => {
      const node = await kept(t, server([listen]))
      const alice = await open()
      await alice.start()
      const { remote, code } = await alice.dial(node.addresses[0])
      assert.equal(code, undefined)
      assert.match(remote, /\/webrtc-direct\/certhash\//)
      assert.ok((await alice.echo(node.peerId, 4 * MIB)).same)
      assert.equal(await alice.streams(node.peerId, 200), 200)
      await alice.close()
      await until(() => node.connections.length === 0)
    })
  }

  it('is dialed by a node that it has opened a connection to', async (t) => {
    const node = await kept(t, server([DIRECT]))
    const alice = await open()
    const peer = await alice.start()
    await alice.dial(node.addresses[0])
    const stream = await node.dial(peer, ECHO)
    await stream.write(random(MIB))
    await stream.closeWrite()
    assert.equal((await readAll(stream)).length, MIB)
  })

  it('falls back to version 1 of WebRTC direct', async (t) => {
    const node = await kept(t, server([DIRECT]))
    const [address] = node.addresses
    let refused = 0
    const port = await between(t, portOf(address), (datagram) => {
      const second = datagram.includes('libp2p+webrtc+v2/')
      if (second) refused++
      return !second
    })
    const alice = await open()
    await alice.start()
    assert.equal((await alice.dial(withPort(address, port))).code, undefined)
    assert.ok((await alice.echo(node.peerId, MIB)).same)
    assert.ok(refused > 0)
  })

  it('names the certificate that is another one than the address says', async (t) => {
    const [node, other] = [await kept(t, server([DIRECT])), await kept(t, server([DIRECT]))]
    const alice = await open()
    await alice.start()
    const [right, wrong] = [node, other].map(({ addresses }) => addresses[0].split('/certhash/')[1])
    const { code } = await alice.dial(node.addresses[0].replace(right, wrong))
    assert.equal(code, 'ERR_TRANSPORT')
  })

  it('reported no uncaught error', () => {
    assert.deepEqual(site.problems, [])
  })
})
