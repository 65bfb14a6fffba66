// Node wants its own module; nothing else has loaded one in this process.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { createNode } from 'polypeer'

test('the module of pages is refused by name, and its own is taken after that', async () => {
  const page = await readFile(new URL('../generated/core_bg.wasm', import.meta.url))
  await assert.rejects(createNode({ wasm: page }), { code: 'ERR_LOAD', message: /polypeer\/node\.wasm/ })
  const node = await createNode({ relay: true })
  assert.equal(node.relayStats().reservations, 0)
  await node.close()
})
