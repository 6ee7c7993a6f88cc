package promql

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/towpath/towpath/internal/towpath"
)

// maxBatch bounds a batch, unpacked.
const maxBatch = 64 << 20

var errBatch = errors.New("no batch of samples")

// Packing a batch is done for each push, so both ends are made once.
var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		return w // only options that can't be had would fail
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		r, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBatch))
		return r
	})
)

// pack makes few bytes of samples: every text once, then each sample as its
// value and the numbers of its labels' texts.
func pack(samples []towpath.MetricSample) []byte {
	numbers := map[string]uint64{}
	var texts, rest []byte
	number := func(s string) uint64 {
		n, known := numbers[s]
		if !known {
			n = uint64(len(numbers))
			numbers[s] = n
			texts = append(binary.AppendUvarint(texts, uint64(len(s))), s...)
		}
		return n
	}
	for _, s := range samples {
		rest = binary.LittleEndian.AppendUint64(rest, math.Float64bits(s.Value))
		rest = binary.AppendUvarint(rest, uint64(len(s.Labels)))
		for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
			rest = binary.AppendUvarint(binary.AppendUvarint(rest, number(k)), number(s.Labels[k]))
		}
	}
	out := binary.AppendUvarint(nil, uint64(len(numbers)))
	out = binary.AppendUvarint(append(out, texts...), uint64(len(samples)))
	return packer().EncodeAll(append(out, rest...), nil)
}

// unpack is what was packed.
func unpack(body []byte) ([]towpath.MetricSample, error) {
	plain, err := unpacker().DecodeAll(body, nil)
	if err != nil {
		return nil, errors.Join(errBatch, err)
	}
	r := reader{rest: plain}
	texts := make([]string, 0, r.count(1))
	for range cap(texts) {
		texts = append(texts, string(r.bytes(r.number())))
	}
	out := make([]towpath.MetricSample, 0, r.count(9))
	for range cap(out) {
		s := towpath.MetricSample{Value: math.Float64frombits(r.value())}
		n := r.count(2)
		s.Labels = make(map[string]string, n)
		for range n {
			k, v := r.number(), r.number()
			if k >= uint64(len(texts)) || v >= uint64(len(texts)) {
				return nil, errBatch
			}
			s.Labels[texts[k]] = texts[v]
		}
		out = append(out, s)
	}
	if r.short || len(r.rest) > 0 {
		return nil, errBatch
	}
	return out, nil
}

// reader reads what may be shorter than it says.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.short, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count is how many of something come, each of so many bytes at least.
func (r *reader) count(least uint64) int {
	n := r.number()
	if n > uint64(len(r.rest))/least {
		r.short, r.rest = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.short, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) value() uint64 {
	b := r.bytes(8)
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}
