package sqldb

import (
	"net"
	"time"
)

// How a server that vanished without a word is found out: by nothing that TCP does
// of itself before a quarter of an hour.
const (
	connectWithin = 10 * time.Second
	aliveAfter    = 10 * time.Second // of silence it is asked whether it is there
	aliveEvery    = 5 * time.Second
	aliveTimes    = 4
	ackedWithin   = aliveAfter + aliveTimes*aliveEvery // what was sent
)

// dialer connects to PostgreSQL. A connection whose other end is gone fails within
// [ackedWithin], whatever it waits for; one that is slow to answer does not.
func dialer(connect time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         connect,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: aliveAfter, Interval: aliveEvery, Count: aliveTimes},
		Control:         bound,
	}
}
