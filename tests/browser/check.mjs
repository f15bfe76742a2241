// Opens a report in a headless browser as a reader does, and prints what is wrong with it as JSON.
//
//   node check.mjs CHROMIUM REPORT.html
//
// In light and dark, at desktop and phone width: every link of the navigation and every fold is clicked, every link
// within the report must lead somewhere, nothing may be asked of a network, logged as an error, wider than the window
// (at desktop width a table neither), or a serious fault of accessibility to axe-core.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, report] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDTHS = { desktop: 1200, phone: 390 };
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const results = {};

for (const scheme of ["light", "dark"]) {
  for (const [device, width] of Object.entries(WIDTHS)) {
    results[`${scheme}, ${device}`] = await read(scheme, device, width);
  }
}
await browser.close();
console.log(JSON.stringify(results));

function cutOffTables() {
  return [...document.querySelectorAll("table")]
    .filter((table) => table.offsetWidth > table.parentElement.clientWidth)
    .map((table) => `${table.closest("section")?.id}: ${table.offsetWidth} > ${table.parentElement.clientWidth}: ${table.rows[0].innerText}`);
}

async function read(scheme, device, width) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 } });
  const page = await context.newPage();
  const wrong = { requests: [], errors: [], dead: [], wide: [], blank: [], keys: [], axe: [] };
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) wrong.requests.push(request.url());
  });
  page.on("console", (message) => message.type() === "error" && wrong.errors.push(message.text()));
  page.on("pageerror", (error) => wrong.errors.push(String(error)));
  page.on("dialog", (dialog) => (wrong.errors.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  await page.goto(pathToFileURL(path.resolve(report)).href);

  await page.keyboard.press("Tab");
  if (!(await page.evaluate(() => document.activeElement?.matches("nav a")))) wrong.keys.push("Tab reaches no link");
  const links = await page.locator("nav a").all();
  for (const link of links) {
    await link.click();
    const target = (await link.getAttribute("href")).slice(1);
    if (!(await page.evaluate((id) => document.getElementById(id)?.matches(":target"), target))) wrong.dead.push(target);
  }
  for (const fold of await page.locator("summary").all()) {
    if (!(await fold.evaluate((element) => element.parentElement.open))) await fold.click();
  }
  wrong.dead.push(
    ...(await page.evaluate(() =>
      [...document.querySelectorAll('a[href^="#"]')]
        .map((link) => link.getAttribute("href").slice(1))
        .filter((id) => !document.getElementById(id)),
    )),
  );
  wrong.blank.push(
    ...(await page.evaluate(() =>
      [...document.images].filter((image) => !image.complete || !image.naturalWidth || !image.alt).map((image) => image.alt),
    )),
  );
  wrong.wide.push(
    ...(await page.evaluate(() =>
      document.documentElement.scrollWidth > window.innerWidth
        ? [`the page is ${document.documentElement.scrollWidth} wide in a window of ${window.innerWidth}`]
        : [],
    )),
  );
  if (device === "desktop") wrong.wide.push(...(await page.evaluate(cutOffTables)));
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const fault of found.violations.filter((item) => ["serious", "critical"].includes(item.impact))) {
    wrong.axe.push(`${fault.id}: ${fault.help}: ${fault.nodes[0].html.slice(0, 200)}`);
  }
  const seen = { sections: links.length, figures: await page.locator("figure").count() };
  await context.close();
  return { ...seen, ...wrong };
}
