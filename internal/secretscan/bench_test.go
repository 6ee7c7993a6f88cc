package secretscan

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkScan scans, on one core, files such as releases have: source code,
// JSON, a minified script, a binary, and hexadecimal digests.
func BenchmarkScan(b *testing.B) {
	s := New()
	var all [][]byte
	var size int64
	for _, f := range tree() {
		b.Run(f.name, func(b *testing.B) { bench(b, s, int64(len(f.content)), f.content) })
		all, size = append(all, f.content), size+int64(len(f.content))
	}
	b.Run("all", func(b *testing.B) { bench(b, s, size, all...) })
}

func bench(b *testing.B, s *Scanner, size int64, files ...[]byte) {
	b.SetBytes(size)
	b.ReportAllocs()
	began := processorTime(b)
	for b.Loop() {
		for _, f := range files {
			if err := s.Scan(b.Context(), "f", bytes.NewReader(f), func(f Finding) { b.Fatal("a finding in what has none: ", f) }); err != nil {
				b.Fatal(err)
			}
		}
	}
	// On a machine that others use too, this says more than the time by the clock.
	b.ReportMetric(float64(size)*float64(b.N)/1e6/(processorTime(b)-began).Seconds(), "MB/cpu-s")
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

type file struct {
	name    string
	content []byte
}

// tree is some MiB of generated files that hold many a name of a secret and no
// secret.
func tree() []file {
	random := seeded()
	names := strings.Fields("user request token response config password secretName client server key apiKey value index buffer length " +
		"handler context accessToken error result session cookie header query params database connection host port")
	name := func() string { return names[random.IntN(len(names))] }
	fill := func(size int, line func(*bytes.Buffer)) []byte {
		var out bytes.Buffer
		for out.Len() < size {
			line(&out)
		}
		return out.Bytes()
	}
	binary := make([]byte, 4<<20)
	for i := range binary {
		binary[i] = byte(random.Uint32() >> (random.IntN(4) * 8) & 0xff)
	}
	copy(binary, "\x7fELF\x00\x00")
	return []file{
		{"source", fill(4<<20, func(o *bytes.Buffer) {
			n := name()
			fmt.Fprintf(o, "\t// %s gives the %s of a %s, see https://go.dev/%s/%s.\n", n, name(), name(), name(), name())
			fmt.Fprintf(o, "\t%s, err := %s.%s(ctx, %s.%s, \"%s %s\")\n", n, name(), name(), name(), name(), name(), name())
			fmt.Fprintf(o, "\tif err != nil {\n\t\treturn fmt.Errorf(\"read %s: %%w\", err)\n\t}\n", n)
			fmt.Fprintf(o, "\t%s.%s = os.Getenv(%q)\n\tclient.password = %s\n", name(), name(), strings.ToUpper(name()), name())
		})},
		{"json", fill(2<<20, func(o *bytes.Buffer) {
			fmt.Fprintf(o, "  {\"id\": %d, \"%s\": \"%s %s\", \"url\": \"https://example.org/%s\", \"digest\": \"sha256:%032x%032x\"},\n",
				random.IntN(1e6), name(), name(), name(), name(), random.Uint64(), random.Uint64())
		})},
		{"minified", fill(2<<20, func(o *bytes.Buffer) {
			fmt.Fprintf(o, "function %c(t,e){var n=t.%s||{},r=e.%s;return n.%s?r(n,\"%s\"):{%s:n,%s:r}}", 'a'+random.IntN(26), name(), name(), name(), name(), name(), name())
		})},
		{"digests", fill(1<<20, func(o *bytes.Buffer) {
			fmt.Fprintf(o, "%s h1:%x%x=\n", name(), random.Uint64(), random.Uint64())
		})},
		{"binary", binary},
	}
}
