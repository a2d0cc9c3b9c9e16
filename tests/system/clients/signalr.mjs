// @microsoft/signalr at the other end of a pipe: a command as a JSON line in, its answer as one out.
//
//   node signalr.mjs MODULES URL TOKEN PROTOCOL CONTRACT_ID
//
// MODULES is the folder where the packages lie; PROTOCOL is json or messagepack. The market hub is reached as the
// venue's own samples do, without negotiation, the user hub with it. It keeps a book by the DomType rules, every trade
// in order, and the merged quote. It ends with its input, or after LIMIT_MS.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const LIMIT_MS = 300_000;
const [modules, url, token, protocol, contractId] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const signalr = require("@microsoft/signalr");
const { MessagePackHubProtocol } = require("@microsoft/signalr-protocol-msgpack");

const bids = new Map(), asks = new Map();
const trades = [], quote = {}, userEvents = [];
let depthLists = 0;

function connection(hub, skipNegotiation) {
  const made = new signalr.HubConnectionBuilder()
    .withUrl(`${url}/hubs/${hub}`, {
      accessTokenFactory: () => token, transport: signalr.HttpTransportType.WebSockets, skipNegotiation,
    })
    .configureLogging(signalr.LogLevel.Error);
  return (protocol === "messagepack" ? made.withHubProtocol(new MessagePackHubProtocol()) : made).build();
}

function purge(side, isGone) {
  for (const price of [...side.keys()]) if (isGone(price)) side.delete(price);
}

// Fact sheet 8.4: 1, 3, 10 set an ask and 2, 4, 9 a bid; 3 and above also take away what cannot be there any more.
function apply({ type, price, volume }) {
  if (type === 6) { bids.clear(); asks.clear(); return; }
  if (![1, 2, 3, 4, 9, 10].includes(type)) return;
  const isBid = [2, 4, 9].includes(type);
  const [own, other] = isBid ? [bids, asks] : [asks, bids];
  if (volume === 0) own.delete(price); else own.set(price, volume);
  if (type > 2) purge(own, (level) => (isBid ? level > price : level < price));
  if (type > 4) purge(other, (level) => (isBid ? level <= price : level >= price));
}

function listOf(payload) {
  return Array.isArray(payload) ? payload : [payload];
}

const market = connection("market", true), user = connection("user", false);
market.on("GatewayDepth", (id, payload) => { depthLists += 1; listOf(payload).forEach(apply); });
market.on("GatewayTrade", (id, payload) => { trades.push(...listOf(payload)); });
market.on("GatewayQuote", (id, payload) => { Object.assign(quote, payload); });
for (const what of ["Account", "Order", "Position", "Trade"]) {
  user.on(`GatewayUser${what}`, (payload) => userEvents.push([what, payload]));
}

const sorted = (side, sign) => [...side].sort((one, two) => sign * (one[0] - two[0]));
const commands = {
  subscribe: async ({ what }) => { await market.invoke(`SubscribeContract${what}`, contractId); return true; },
  unsubscribe: async ({ what }) => { await market.invoke(`UnsubscribeContract${what}`, contractId); return true; },
  subscribe_user: async ({ account_id }) => {
    await user.invoke("SubscribeAccounts");
    for (const what of ["Orders", "Positions", "Trades"]) await user.invoke(`Subscribe${what}`, account_id);
    return true;
  },
  invoke_wrongly: async ({ target }) => market.invoke(target, contractId).then(() => "", (error) => error.message),
  counts: async () => ({ depth_lists: depthLists, trades: trades.length, user_events: userEvents.length }),
  book: async () => ({ bids: sorted(bids, -1), asks: sorted(asks, 1) }),
  trades: async () => trades.map(({ price, volume, type, timestamp }) => [price, volume, type, timestamp]),
  quote: async () => quote,
  user_events: async () => userEvents,
};

setTimeout(() => { console.error("the time is over"); process.exit(1); }, LIMIT_MS).unref();
await market.start();
await user.start();
console.log(JSON.stringify({ market: market.state, user: user.state }));
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...rest } = JSON.parse(line);
  console.log(JSON.stringify(await commands[name](rest)));
}
await market.stop();
await user.stop();
