/** The node with all its parts; `polypeer/mini` goes without them. */

import type { Core as FullCore } from '../generated/core.js'
import type { Core } from './core.js'
import type { Host } from './host.js'
import { NodeImpl } from './node.js'
import type { PeerNode } from './types.js'

/** See {@link PeerNode}. */
export class FullNode extends NodeImpl implements PeerNode {
  constructor(core: Core<FullCore>, host: Host, privateKey: Uint8Array) {
    super(core, host, privateKey)
  }
}
