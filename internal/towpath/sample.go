package towpath

import "time"

// SampleBatch is what was pushed of metrics at one moment, as servers of one
// database hand it to each other.
type SampleBatch struct {
	ID   string
	At   time.Time // by the clock that all servers share, to the microsecond
	Size int64     // of Body, bytes
	Body []byte    // nil where only is told that it is there
}
