package promql

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

// pushedBy is what an agent pushes of a service with many series.
func pushedBy(agent, series int) []towpath.MetricSample {
	var out []towpath.MetricSample
	for i := range series {
		out = append(out, towpath.MetricSample{Value: float64(i * agent), Labels: map[string]string{
			"__name__": "http_requests_total", "project": "shop", "environment": "prod", "component": fmt.Sprint("api-", agent), "place": fmt.Sprint("host-", agent),
			"revision": "rev_2n5h4qk7mzz3a6c1", "release": "sha256:0f3a", "path": fmt.Sprint("/orders/", i), "code": fmt.Sprint(200 + i%10), "instance": fmt.Sprint(i % 5),
		}})
	}
	return out
}

func TestBatch(t *testing.T) {
	for name, in := range map[string][]towpath.MetricSample{
		"many":    pushedBy(3, 500),
		"numbers": {{Value: math.Inf(1)}, {Value: math.Copysign(0, -1)}, {Value: 5e-324, Labels: map[string]string{"": "", "ö": "\xff"}}},
	} {
		t.Run(name, func(t *testing.T) {
			body := pack(in)
			got, err := unpack(body)
			if err != nil {
				t.Fatal(err)
			}
			for i := range in {
				if in[i].Labels == nil {
					in[i].Labels = map[string]string{}
				}
			}
			if d := cmp.Diff(in, got); d != "" {
				t.Error(d)
			}
			if n := len(body); n > 10*1024 {
				t.Errorf("it has %d bytes", n)
			}
		})
	}
}

func FuzzBatch(f *testing.F) {
	f.Add(packer().EncodeAll([]byte{0, 0}, nil))
	f.Add(pack(pushedBy(1, 3)))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, b := range [][]byte{body, packer().EncodeAll(body, nil)} {
			if _, err := unpack(b); err != nil {
				continue
			}
		}
	})
}
