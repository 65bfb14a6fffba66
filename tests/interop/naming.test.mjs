// Names and routing over HTTP: `polypeer serve --routing`, our client in Node and in a page,
// js-ipns and Helia's client.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { createNode, delegatedRouting } from 'polypeer'
import { built, root } from '../../scripts/lib.mjs'
import { newerNode } from '../../scripts/newer-node.mjs'
import { launch, openPage } from '../lib/browser.mjs'

/** Content of nothing in particular. */
const CID = 'bafkqablunbuw4zy'
const NAME = '/test/kad/1.0.0'
const options = { timeout: 180_000 }

const base64 = (bytes) => Buffer.from(bytes).toString('base64')
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))
const broken = (record) => record.map((byte, at) => (at === record.length - 9 ? byte ^ 1 : byte))

/** `polypeer serve` that answers over HTTP. */
async function serve(home, known = []) {
  const args = ['--json', 'serve', '--no-store', '--dht', NAME, '--routing', '127.0.0.1:0']
  const where = ['tcp/0', 'tcp/0/ws'].flatMap((end) => ['--listen', `/ip4/127.0.0.1/${end}`])
  const begin = known.flatMap((address) => ['--bootstrap', address])
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, POLYPEER_KEY: undefined }
  const child = spawn(built('polypeer'), [...args, ...where, ...begin], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  const server = {
    async close() {
      child.kill()
      await ended
    },
  }
  for await (const line of createInterface({ input: child.stdout })) {
    const { event, addresses, url } = JSON.parse(line)
    if (event === 'listening') server.addresses = addresses
    if (event === 'routing') return { ...server, url }
  }
  throw new Error('the server did not start')
}

/** js-ipns and Helia's client; a call that fails rejects with its words. */
function others() {
  const child = spawn(newerNode(), [join(root, 'tests/peers/js/naming.mjs')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => child.on('close', resolve))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async call(...call) {
      child.stdin.write(`${JSON.stringify(call)}\n`)
      const { result, error } = JSON.parse((await lines.next()).value)
      if (error !== undefined) throw new Error(error)
      return result
    },
    async close() {
      child.stdin.end()
      await ended
    },
  }
}

async function all(found) {
  const list = []
  for await (const one of found) list.push(one)
  return list
}

describe('names and routing over HTTP', options, () => {
  const closing = []
  const kept = (thing) => {
    closing.unshift(() => thing.close())
    return thing
  }
  let urls
  let node
  let js
  let page

  before(async () => {
    const homes = await Promise.all([1, 2].map(() => mkdtemp(join(tmpdir(), 'polypeer-'))))
    closing.push(() => Promise.all(homes.map((home) => rm(home, { recursive: true, force: true }))))
    const first = kept(await serve(homes[0]))
    const second = kept(await serve(homes[1], first.addresses))
    urls = [first.url, second.url]
    js = kept(others())
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws']
    node = kept(await createNode({ listen, dht: { protocol: NAME, mode: 'server' } }))
    for (const { addresses } of [first, second]) await node.dial(addresses[0])
    // Until all know all.
    for (const url of urls) {
      while ((await all(delegatedRouting(url).closestPeers(CID))).length < 2);
    }
    while ((await node.dht.provide(CID)).successes < 2);
    const browser = kept(await launch())
    page = kept(await openPage(browser, 'polypeer', undefined, 'naming'))
  })
  after(async () => {
    for (const close of closing) await close()
  })

  it('each validates the records of the other and selects the same', async () => {
    const ours = node.ipns.sign('/ipfs/bafkqaaa', { sequence: 7n })
    const read = await js.call('validate', node.peerId, base64(ours.bytes))
    assert.deepEqual(read, { value: '/ipfs/bafkqaaa', sequence: '7' })
    await assert.rejects(js.call('validate', node.peerId, base64(broken(ours.bytes))))

    const name = await js.call('name')
    const theirs = bytes(await js.call('sign', '/ipfs/bafkqaaa', 9))
    const { value, sequence } = node.ipns.verify(name, theirs)
    assert.deepEqual({ value, sequence }, { value: '/ipfs/bafkqaaa', sequence: 9n })
    assert.throws(() => node.ipns.verify(name, broken(theirs)), { code: 'ERR_RECORD' })
    await assert.rejects(js.call('validate', name, base64(ours.bytes)))
    assert.throws(() => node.ipns.verify(node.peerId, theirs), { code: 'ERR_RECORD' })

    const long = { sequence: 7n, lifetime: 90 * 3600 * 1000 }
    const all = [ours, node.ipns.sign('/ipfs/b', long), node.ipns.sign('/ipfs/c', { sequence: 6n })]
    assert.equal(
      await js.call(
        'select',
        node.peerId,
        all.map((record) => base64(record.bytes)),
      ),
      1,
    )
  })

  it('each resolves what the other publishes', async () => {
    const routing = delegatedRouting(urls[0])
    const first = await node.ipns.publish('/ipfs/first', { routing })
    assert.equal(first.value, '/ipfs/first')
    assert.equal((await js.call('resolve', urls[1], node.peerId)).value, '/ipfs/first')
    // By the DHT, without a word to the service.
    await node.ipns.publish('/ipfs/second')
    const second = await js.call('resolve', urls[1], node.peerId)
    assert.deepEqual(second, { value: '/ipfs/second', sequence: '1' })

    const name = await js.call('name')
    assert.equal(await node.ipns.resolve(name, { routing }), undefined)
    await assert.rejects(js.call('resolve', urls[0], name), /NotFound/)
    await js.call('publish', urls[1], '/ipfs/bafkqaaa', 3)
    for (const from of [{ routing }, {}]) {
      const found = await node.ipns.resolve(name, from)
      assert.deepEqual([found.value, found.sequence], ['/ipfs/bafkqaaa', 3n])
    }
  })

  it('refuses records that are not good, and keeps what it has', async () => {
    const good = node.ipns.sign('/ipfs/bafkqaaa', { sequence: 20n })
    const routing = delegatedRouting(urls[0])
    await routing.putIpns(node.peerId, good.bytes)
    const bad = [
      broken(good.bytes),
      node.ipns.sign('/ipfs/older', { sequence: 19n }).bytes,
      bytes(await js.call('sign', '/ipfs/another', 30)),
      new Uint8Array(3),
    ]
    for (const record of bad) {
      await assert.rejects(routing.putIpns(node.peerId, record), { code: 'ERR_ROUTING', status: 400 })
      await assert.rejects(js.call('put', urls[0], node.peerId, base64(record)))
    }
    for (const url of urls) {
      assert.deepEqual(await js.call('resolve', url, node.peerId), {
        value: '/ipfs/bafkqaaa',
        sequence: '20',
      })
    }
  })

  it("Helia's client finds peers and providers, and those alone that are of use", async () => {
    const [{ peer, addresses }] = await js.call('providers', urls[0], CID)
    assert.equal(peer, node.peerId)
    assert.equal(addresses.length, 2)
    const [websocket] = await js.call('providers', urls[0], CID, { filterAddrs: ['ws'] })
    assert.deepEqual(
      websocket.addresses.map((address) => address.endsWith('/ws')),
      [true],
    )
    const none = { filterAddrs: ['webtransport'], filterProtocols: ['unknown'] }
    assert.deepEqual(await js.call('providers', urls[0], CID, none), [])
    assert.equal((await js.call('peer', urls[1], node.peerId))[0].peer, node.peerId)
    const closest = await js.call('closest', urls[0], CID)
    assert.deepEqual(closest.map(({ peer }) => peer).includes(node.peerId), true)
    assert.equal(closest.length, 2)
  })

  it('a page of another origin finds, publishes and reaches', async () => {
    const found = await page.run('providers', urls[0], CID, { filterAddrs: ['ws'] })
    assert.deepEqual(
      found.map(({ peer, addresses }) => [peer, addresses.length]),
      [[node.peerId, 1]],
    )
    assert.equal((await page.run('peer', urls[1], node.peerId)).peer, node.peerId)
    assert.equal((await page.run('closest', urls[0], node.peerId))[0].peer, node.peerId)
    assert.deepEqual(await page.run('code', urls[0], 'nonsense'), { code: 'ERR_ROUTING', status: 422 })
    assert.equal(await page.run('reach', urls[0], CID), node.peerId)

    const { name, value, sequence } = await page.run('name', urls, '/ipfs/of-a-page')
    assert.deepEqual([value, sequence], ['/ipfs/of-a-page', 0])
    assert.equal((await node.ipns.resolve(name)).value, '/ipfs/of-a-page')
    assert.equal((await js.call('resolve', urls[0], name)).value, '/ipfs/of-a-page')
    await node.ipns.publish('/ipfs/of-node')
    assert.equal(await page.run('resolve', urls[1], node.peerId), '/ipfs/of-node')
  })
})
