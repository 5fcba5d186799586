// SPDX-License-Identifier: BSD-2-Clause
//
// Echo nio|classic ADDR - an echo server: one thread and a Selector, or a thread a connection.
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.Iterator;

public class Echo {
	public static void main(String[] args) throws Exception {
		InetAddress addr = InetAddress.getByName(args[1]);

		if (args[0].equals("nio"))
			nio(addr);
		else
			classic(addr);
	}

	static void classic(InetAddress addr) throws Exception {
		ServerSocket door = new ServerSocket(7000, 64, addr);

		for (;;) {
			Socket s = door.accept();

			s.setTcpNoDelay(true);
			new Thread(() -> echo(s)).start();
		}
	}

	static void echo(Socket s) {
		byte[] buf = new byte[65536];

		try (s) {
			InputStream in = s.getInputStream();
			OutputStream out = s.getOutputStream();
			int n;

			while ((n = in.read(buf)) > 0)
				out.write(buf, 0, n);
		} catch (java.io.IOException e) {
			System.err.println(e);
		}
	}

	static void nio(InetAddress addr) throws Exception {
		Selector sel = Selector.open();
		ServerSocketChannel door = ServerSocketChannel.open();

		door.bind(new InetSocketAddress(addr, 7000), 64);
		door.configureBlocking(false);
		door.register(sel, SelectionKey.OP_ACCEPT);
		for (;;) {
			sel.select();
			Iterator<SelectionKey> it = sel.selectedKeys().iterator();
			while (it.hasNext()) {
				SelectionKey k = it.next();

				it.remove();
				if (k.isAcceptable()) {
					SocketChannel c = door.accept();

					c.configureBlocking(false);
					c.socket().setTcpNoDelay(true);
					c.register(sel, SelectionKey.OP_READ, ByteBuffer.allocateDirect(65536));
				} else {
					serve(k);
				}
			}
		}
	}

	static void serve(SelectionKey k) throws Exception {
		SocketChannel c = (SocketChannel)k.channel();
		ByteBuffer b = (ByteBuffer)k.attachment();

		if (k.interestOps() == SelectionKey.OP_READ) {
			if (c.read(b) < 0) {
				c.close();
				return;
			}
			b.flip();
		}
		c.write(b);
		k.interestOps(b.hasRemaining() ? SelectionKey.OP_WRITE : SelectionKey.OP_READ);
		if (!b.hasRemaining())
			b.clear();
	}
}
