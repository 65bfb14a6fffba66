// Who is measured beside whom, over what, and how much of it.
const MiB = 1 << 20

/** `ours` and `theirs` are names of ../lib/peers.mjs, or of ../lib/browser.mjs for a page. */
export const pairs = [
  {
    name: 'native TCP',
    ours: 'polypeer-native',
    theirs: 'rust',
    peer: 'rust-libp2p',
    transport: 'tcp',
    bytes: 512 * MiB,
    streams: 3000,
    handshakes: 480,
    idle: 5000,
    plain: 'plain TCP',
    trials: ['plain', 'upload', 'download', 'streams', 'handshakes', 'idle', 'flood'],
  },
  {
    name: 'relayed, native TCP',
    ours: 'polypeer-native',
    theirs: 'rust',
    peer: 'rust-libp2p',
    transport: 'tcp',
    // Each through its own relay, between its own peers.
    relayed: true,
    bytes: 512 * MiB,
    trials: ['upload', 'download', 'places'],
  },
  {
    name: 'Node TCP',
    ours: 'polypeer-node',
    theirs: 'js-node',
    peer: 'js-libp2p',
    transport: 'tcp',
    bytes: 256 * MiB,
    streams: 1500,
    handshakes: 200,
    trials: ['upload', 'download', 'streams', 'handshakes', 'idle'],
  },
  {
    name: 'Node WebSocket',
    ours: 'polypeer-node',
    theirs: 'js-node',
    peer: 'js-libp2p',
    transport: 'ws',
    bytes: 64 * MiB,
    streams: 1500,
    handshakes: 200,
    trials: ['upload', 'download', 'streams', 'handshakes', 'idle'],
  },
  {
    name: 'Chromium WebSocket',
    ours: 'polypeer',
    theirs: 'js',
    peer: 'js-libp2p',
    // A page cannot be dialed: the listener is the same for both.
    listener: 'polypeer-native',
    transport: 'ws',
    bytes: 32 * MiB,
    trials: ['upload', 'download', 'load'],
  },
  {
    name: 'Chromium to Chromium, WebRTC',
    ours: 'polypeer',
    theirs: 'js',
    peer: 'js-libp2p',
    // Where the pages of either meet.
    meetingPlace: 'polypeer-native',
    transport: 'ws',
    bytes: 64 * MiB,
    plain: 'a bare data channel',
    trials: ['first', 'plain', 'upload', 'download'],
  },
]

/** What a row says, in the order of the rows. */
export const figures = {
  upload: { name: 'upload, one stream', unit: 'MiB/s', more: true },
  download: { name: 'download, one stream', unit: 'MiB/s', more: true },
  ceiling: { name: 'upload beside no protocol at all', unit: 'MiB/s', more: true },
  sending: { name: 'CPU of the sender', unit: 's/GiB' },
  receiving: { name: 'CPU of the receiver', unit: 's/GiB' },
  relaying: { name: 'CPU of the relay', unit: 's/GiB' },
  places: { name: 'memory of a reservation, its connection included', unit: 'KiB' },
  sequential: { name: 'requests, one after another', unit: '1/s', more: true },
  parallel: { name: 'requests, 64 in flight', unit: '1/s', more: true },
  connect: { name: 'until a connection is open', unit: 'ms' },
  handshakes: { name: 'connections, 16 peers at a time', unit: '1/s', more: true },
  idle: { name: 'memory of an idle connection', unit: 'KiB' },
  flood: { name: 'slowest dial beside 2,000 slow handshakes', unit: 'ms' },
  first: { name: 'from dial to the first byte and back', unit: 'ms' },
  load: { name: 'from page load to connected', unit: 'ms' },
}
