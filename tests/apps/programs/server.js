// SPDX-License-Identifier: BSD-2-Clause
//
// server.js ADDR DIR - files of DIR by http; and what is sent to /echo comes back.
const fs = require('fs'), http = require('http'), path = require('path');
const [addr, dir] = process.argv.slice(2);
const small = fs.readFileSync(path.join(dir, 'small'));

const server = http.createServer((req, res) => {
	if (req.url === '/echo')
		req.pipe(res);
	else if (req.url === '/small')
		res.end(small);
	else
		fs.createReadStream(path.join(dir, path.basename(req.url))).pipe(res);
});
server.keepAliveTimeout = 100000;
server.listen(8000, addr, 511);
process.on('SIGTERM', () => process.exit(0));
