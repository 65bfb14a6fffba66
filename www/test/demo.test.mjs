// The demo as its visitors meet it: pages in Chromium, the native server, a peer in Node.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startServer } from '../../scripts/demo-server.mjs'
import {
  connected,
  launch,
  line,
  nameOf,
  openPage,
  peerOf,
  reached,
  say,
  servePage,
} from './support/browser.mjs'
import { frame, nodePeer, roomOf } from './support/peers.mjs'

const timeout = 300_000

/** A running demo: the server, which can be started anew, the page's address, a browser. */
async function demo(t) {
  const folder = await mkdtemp(join(tmpdir(), 'polypeer-demo-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const start = () => startServer(join(folder, 'key'))
  const running = { server: await start(), start }
  t.after(() => running.server.stop('SIGKILL'))
  running.url = await servePage(t, () => ({ addresses: running.server.addresses }))
  running.context = await (await launch(t)).newContext()
  return running
}

test('pages talk directly, and with a peer in Node through the server', { timeout }, async (t) => {
  const { server, url, context } = await demo(t)
  const troubles = []
  const peer = await nodePeer(t, server.addresses)
  const first = await openPage(context, url, troubles)
  await connected(first)
  const second = await openPage(context, url, troubles)
  await connected(second)
  const [one, two] = [await peerOf(first), await peerOf(second)]

  await t.test('two pages of one browser are two peers, and find the direct way', async () => {
    assert.notEqual(one, two)
    assert.match(one, /^12D3KooW/)
    await Promise.all([reached(first, two, 'direct'), reached(second, one, 'direct')])
    await first.locator(`.peer[data-peer="${two}"] .how`, { hasText: ' ms' }).waitFor()
    await first.locator('#network .net-line.direct').waitFor()
  })

  await t.test('a line typed in one shows in the other, with the name of its sender', async () => {
    await say(first, 'Hello from the first page')
    const heard = line(second, 'Hello from the first page')
    await heard.waitFor()
    assert.equal(await heard.locator('.name').textContent(), await nameOf(first))
    assert.equal(await heard.locator('.head code').getAttribute('title'), one)
    assert.equal(await heard.evaluate((item) => item.classList.contains('own')), false)
    const own = line(first, 'Hello from the first page')
    assert.equal(await own.evaluate((item) => item.classList.contains('own')), true)
    assert.match(await own.locator('time').getAttribute('datetime'), /^\d{4}-.*Z$/)
    assert.equal(await first.getByLabel('Your message').inputValue(), '')
    assert.equal((await peer.hear()).text, 'Hello from the first page')
  })

  await t.test('text stays text', async () => {
    const text = '<img src=x onerror=alert(1)> שלום 👋\nsecond line'
    await first.getByLabel('Your message').fill(text)
    await first.getByRole('button', { name: 'Send', exact: true }).click()
    await line(second, 'second line').waitFor()
    assert.equal(await line(second, 'second line').locator('.text').textContent(), text)
    assert.equal((await peer.hear()).text, text)
  })

  await t.test('a peer in Node hears and answers through the server', async () => {
    await Promise.all([reached(first, peer.peer, 'relayed'), reached(second, peer.peer, 'relayed')])
    await say(second, 'Is anybody out of the browser?')
    assert.deepEqual(await peer.hear(), { text: 'Is anybody out of the browser?', from: two })
    peer.say('I am, in Node')
    for (const page of [first, second]) {
      await line(page, 'I am, in Node').waitFor()
      const sender = line(page, 'I am, in Node').locator('.head code')
      assert.equal(await sender.getAttribute('title'), peer.peer)
      assert.equal(await page.locator('#members').textContent(), '3 are here')
    }
  })

  await t.test('a file goes directly, with its progress, if it is wanted', async () => {
    const bytes = randomBytes(3_000_000)
    const pick = first.locator(`.peer[data-peer="${two}"] input`)
    const offer = () => pick.setInputFiles({ name: 'a/odd name.bin', mimeType: 'x/y', buffer: bytes })
    await offer()
    await second.getByRole('button', { name: 'Decline' }).click()
    await first.locator('.transfer[data-state=declined]').waitFor()
    await offer()
    await second.getByRole('button', { name: 'Take it' }).click()
    const save = second.getByRole('link', { name: 'Save' })
    await save.waitFor()
    await first.locator('.transfer[data-state=done]').waitFor()
    const download = second.waitForEvent('download')
    await save.click()
    const saved = await download
    assert.equal(saved.suggestedFilename(), 'a_odd name.bin')
    assert.ok(bytes.equals(await readFile(await saved.path())))
    // Who is reached through the server only gets none.
    const button = first.locator(`.peer[data-peer="${peer.peer}"] button`)
    assert.equal(await button.isDisabled(), true)
  })

  await t.test('pages know how many are there as they come and go', async () => {
    const third = await openPage(context, url, troubles)
    await connected(third)
    for (const page of [first, second]) await page.getByText('4 are here').waitFor()
    await reached(first, await peerOf(third), 'direct')
    await third.close()
    for (const page of [first, second]) await page.getByText('3 are here').waitFor()
  })

  await t.test('the page shows its server and the round trip', async () => {
    await first.locator('#trip', { hasText: ' ms' }).waitFor()
    assert.match(await first.locator('#server-agent').textContent(), /polypeer/)
    assert.equal(await first.locator('#server-id').getAttribute('title'), server.peer)
  })

  await t.test('a page that is loaded again is the same peer, and is found again', async () => {
    await second.reload()
    await connected(second)
    assert.equal(await peerOf(second), two)
    await reached(first, two, 'direct')
  })

  assert.deepEqual(troubles, [])
})

test('pages that are connected directly need no server, and come back to it', { timeout }, async (t) => {
  const running = await demo(t)
  const [first, second] = [
    await openPage(running.context, running.url),
    await openPage(running.context, running.url),
  ]
  await Promise.all([connected(first), connected(second)])
  const [one, two] = [await peerOf(first), await peerOf(second)]
  await Promise.all([reached(first, two, 'direct'), reached(second, one, 'direct')])
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await running.server.stop(signal)
    await first.getByRole('alert').getByText('The server cannot be reached').waitFor()
    assert.match(await first.getByRole('alert').textContent(), /npm start/)
    await first.getByRole('timer').waitFor()
    await say(first, `Said after ${signal}`)
    await line(second, `Said after ${signal}`).waitFor()

    running.server = await running.start()
    await connected(first)
    await first.getByRole('alert').waitFor({ state: 'hidden' })
    await connected(second)
  }
  const third = await openPage(running.context, running.url)
  await Promise.all([reached(third, one, 'direct'), reached(third, two, 'direct')])
})

test('pages of a browser without WebRTC talk through the server', { timeout }, async (t) => {
  const { url, context } = await demo(t)
  await context.addInitScript(() => {
    delete globalThis.RTCPeerConnection
  })
  const troubles = []
  const [first, second] = [await openPage(context, url, troubles), await openPage(context, url, troubles)]
  await Promise.all([connected(first), connected(second)])
  const [one, two] = [await peerOf(first), await peerOf(second)]
  await Promise.all([reached(first, two, 'relayed'), reached(second, one, 'relayed')])
  await say(first, 'Not directly')
  await line(second, 'Not directly').waitFor()
  assert.deepEqual(troubles, [])
})

test('addresses that lead nowhere are explained, another can be given', { timeout }, async (t) => {
  const { server, url, context } = await demo(t)
  const right = server.addresses.find((address) => address.includes('/ws/'))
  const other = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
  const page = await openPage(context, `${url}?server=/ip4/127.0.0.1/tpc/1/ws`)
  const alert = page.getByRole('alert')
  await alert.getByText('This address cannot be read').waitFor()

  for (const [address, title] of [
    [
      server.addresses.find((address) => !address.includes('/ws/')),
      'A page cannot dial this kind of address',
    ],
    [right.replace(server.peer, other), 'Somebody else answers at this address'],
    [await roomOf(t, (stream) => stream.abort()), 'The server showed this page the door'],
  ]) {
    await page.getByLabel('Its WebSocket address').fill(address)
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await alert.getByText(title).waitFor()
  }
  await page.getByLabel('Its WebSocket address').fill(right)
  await page.getByRole('button', { name: 'Connect', exact: true }).click()
  await connected(page)
  assert.equal(new URL(page.url()).searchParams.get('server'), right)
  await page.getByRole('button', { name: 'Back to the usual one' }).click()
  await connected(page)
  assert.equal(new URL(page.url()).search, '')
})

test('a server or a peer that says too much fills neither the page nor its memory', {
  timeout,
}, async (t) => {
  const { server, url, context } = await demo(t)
  const peer = await nodePeer(t, server.addresses)
  const page = await openPage(context, url)
  await reached(page, peer.peer, 'relayed')
  const self = await peerOf(page)
  while (!peer.others.includes(self)) await new Promise(setImmediate)
  for (let count = 0; count < 200; count++) peer.say(`Line ${count}.`)
  await line(page, 'Line 0.').waitFor()
  // What was said before is judged when this is heard, which comes when there is room again.
  const last = line(page, 'That was all.')
  while ((await last.count()) === 0) {
    peer.say('That was all.')
    await page.waitForTimeout(200)
  }
  const shown = await page.locator('#log > li', { hasText: 'Line ' }).count()
  assert.ok(shown >= 20 && shown < 100, `${shown} of 200 lines are shown`)

  const flood = await roomOf(t, async (stream, node) => {
    const message = { from: node.peerId, text: '', at: Date.now(), members: 2, peers: [node.peerId] }
    for (let count = 1; count <= 600; count++) await stream.write(frame(message))
    await stream.write(Buffer.from([0x81, 0x40]))
  })
  const other = await openPage(context, `${url}?server=${flood}`)
  await other.getByRole('alert').waitFor()
  assert.match(await other.locator('#trouble-detail').textContent(), /longer than 8192 bytes/)
})
