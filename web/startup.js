/** Where the page connects to when it is opened, after asking about what a link wants. */
import { hostOf, isInTheClear } from "./address.js";
import { dropLink, dropToken, readLink } from "./link.js";
import { ask } from "./question.js";
import { hasAnotherToken, keepToken } from "./token.js";
import { isTrusted, trust, usualAddress } from "./trust.js";

/** @typedef {import("./address.js").Address} Address */

/**
 * @returns {Promise<{address?: Address, isSomebodyElse?: boolean}>} without an address if the user
 *   wants none; whether another than before uses the page from now on
 */
export async function addressToOpen() {
  const link = readLink();
  if (!link) return { address: usualAddress() };
  const { address, token } = link;
  if (!address) {
    dropLink();
    const title = "This link leads nowhere";
    const text = "The address in it is not that of a server. Nothing has been opened.";
    const yes = "Connect as usual";
    return (await ask({ title, text, yes, no: "Stay here" })) ? { address: usualAddress() } : {};
  }
  if (!isTrusted(address)) {
    if (!(await askWhetherToConnect(address))) {
      dropLink();
      return {};
    }
    trust(address);
  }
  const isOther = token !== "" && hasAnotherToken(address, token);
  const isSomebodyElse = isOther && (await askWhoToBe(address));
  if (token && (!isOther || isSomebodyElse)) keepToken(address, token);
  if (token) dropToken();
  return { address, isSomebodyElse };
}

/** @param {Address} address */
function askWhetherToConnect({ url, httpUrl }) {
  const isTwo = httpUrl && hostOf(httpUrl) !== hostOf(url);
  /** @type {[string, string, string][]} */
  const hosts = [["You would talk to", hostOf(url), warning(url)]];
  if (httpUrl && (isTwo || isInTheClear(httpUrl))) {
    hosts.push(["and, where that is blocked, to", hostOf(httpUrl), warning(httpUrl)]);
  }
  return ask({
    title: "Connect to another server?",
    text:
      "The link that you followed leads to a server that you have not used here. Whoever runs it " +
      "receives what you say and type.",
    hosts,
    yes: "Connect",
    no: "Cancel",
  });
}

/** @param {string} url */
function warning(url) {
  return isInTheClear(url) ? "not encrypted: others on the way can listen" : "";
}

/** @param {Address} address */
function askWhoToBe({ url }) {
  return ask({
    title: "Sign in as somebody else?",
    text:
      "You are signed in there already. The link that you followed would sign you in anew, perhaps " +
      "as somebody else, who could then read what you say.",
    hosts: [["Signed in at", hostOf(url), ""]],
    yes: "Sign in anew",
    no: "Stay signed in",
  });
}
