package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// proxy forwards TCP connections and delays every byte by the same time in
// each direction, in order and without a limit on how many are on their way:
// distance, not narrowness.
type proxy struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	delay    time.Duration
	ctx      context.Context
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// newProxy serves on l until close, and dials one connection for each accepted.
func newProxy(ctx context.Context, l net.Listener, delay time.Duration, dial func(context.Context) (net.Conn, error)) *proxy {
	p := &proxy{listener: l, dial: dial, delay: delay}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.wg.Go(p.serve)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	p.stop()
	p.listener.Close()
	p.wg.Wait()
}

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		out, err := p.dial(p.ctx)
		if err != nil {
			in.Close()
			continue
		}
		stop := context.AfterFunc(p.ctx, func() { in.Close(); out.Close() })
		var both sync.WaitGroup
		both.Go(func() { p.carry(out, in) })
		both.Go(func() { p.carry(in, out) })
		p.wg.Go(func() {
			both.Wait()
			stop()
			in.Close()
			out.Close()
		})
	}
}

// parcel is some bytes and when they are due.
type parcel struct {
	due  time.Time
	data []byte
}

// carry moves bytes from one end to the other, each parcel late by the delay,
// and passes the end of the stream on as late as everything else.
func (p *proxy) carry(to, from net.Conn) {
	road := make(chan parcel, 1<<14) // 64 KiB each: more than any window in use here
	go func() {
		defer close(road)
		for {
			buf := make([]byte, 64<<10)
			n, err := from.Read(buf)
			if n > 0 {
				road <- parcel{time.Now().Add(p.delay), buf[:n]}
			}
			if err != nil {
				road <- parcel{due: time.Now().Add(p.delay)}
				return
			}
		}
	}()
	var failed error
	for parcel := range road {
		if failed != nil {
			continue // the reader must not be left waiting
		}
		if wait := time.Until(parcel.due); wait > 0 {
			time.Sleep(wait)
		}
		if parcel.data == nil {
			failed = closeWrite(to)
			continue
		}
		if _, failed = to.Write(parcel.data); failed != nil {
			from.Close()
		}
	}
}

func closeWrite(c net.Conn) error {
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
		return io.EOF
	}
	return errors.Join(c.Close(), io.EOF)
}
