package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// perSource is the number of connections from one of the addresses of 127.0.0.0/8.
const perSource = 10_000

const request = "GET /stream?channel=capacity HTTP/1.1\r\nHost: x\r\n\r\n"

// holdClients opens connections and holds them until the standard input ends. They have no epoll set and no goroutine:
// what they cost is a socket and a file.
func holdClients(arg string) error {
	where, count, _ := strings.Cut(arg, ",")
	addr, err := netip.ParseAddrPort(where)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	server := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	fds := make([]int, 0, n)
	for i := range n {
		fd, err := connect(server, byte(2+i/perSource))
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		fds = append(fds, fd)
	}
	buf := make([]byte, 4096)
	for i, fd := range fds { // the answers' heads; what comes later stays in the kernel
		if _, err := unix.Read(fd, buf); err != nil {
			return fmt.Errorf("answer %d: %w", i+1, err)
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// connect opens a connection from 127.0.0.source and sends the request.
func connect(server unix.Sockaddr, source byte) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	// the port is chosen by connect, so that each address has all of them
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, source}}); err != nil {
		return 0, err
	}
	if err := unix.Connect(fd, server); err != nil {
		return 0, err
	}
	_, err = unix.Write(fd, []byte(request))
	return fd, err
}
