package sqldb

import (
	"strconv"
	"strings"
	"time"
)

// Micros is how times are stored: unix microseconds, 0 for the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of [Micros]; the result is in UTC.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// Bool is how booleans are stored: 0 or 1.
func Bool(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Params is "$from, $from+1, …", n parameters, for an IN list or VALUES.
func Params(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(from + i))
	}
	return b.String()
}
