package registry

import (
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/towpath"
)

const emptyDigest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}

func TestParse(t *testing.T) {
	body := `{"schemaVersion":2,"mediaType":"` + mediaManifest + `","annotations":{"a":"b"},
		"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + emptyDigest + `","size":2,"data":"e30="},
		"layers":[{"mediaType":"application/x","digest":"` + emptyDigest + `","size":2},
			{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"` + emptyDigest + `","size":9,"urls":["https://example.com"]}],
		"subject":{"mediaType":"` + mediaManifest + `","digest":"` + emptyDigest + `","size":7}}`
	got, err := parse(mediaManifest+"; charset=utf-8", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	ref := towpath.Reference{Digest: emptyDigest, Size: 2}
	want := towpath.Artifact{
		MediaType: mediaManifest, Size: int64(len(body)), ArtifactType: "application/vnd.oci.empty.v1+json",
		Annotations: map[string]string{"a": "b"}, Subject: emptyDigest, References: []towpath.Reference{ref, ref},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestParse_OneMeaning: what two readers could take for different things is
// refused; what is not known here is taken.
func TestParse_OneMeaning(t *testing.T) {
	config := `{"mediaType":"application/x","digest":"` + emptyDigest + `","size":2}`
	for name, tt := range map[string]struct {
		body string
		ok   bool
	}{
		"the layers twice":              {`{"schemaVersion":2,"config":` + config + `,"layers":[` + config + `],"layers":[]}`, false},
		"the layers in other letters":   {`{"schemaVersion":2,"config":` + config + `,"layers":[` + config + `],"Layers":[]}`, false},
		"a letter that folds":           {`{"schemaVersion":2,"config":` + config + `,"layers":[],"layer\u017f":[]}`, false},
		"a subject twice":               {`{"schemaVersion":2,"config":` + config + `,"subject":` + config + `,"subject":null}`, false},
		"a digest twice":                {`{"schemaVersion":2,"config":{"digest":"sha256:0",` + config[1:] + `}`, false},
		"a manifest of an index twice":  {`{"schemaVersion":2,"mediaType":"` + mediaIndex + `","manifests":[],"manifests":[` + config + `]}`, false},
		"an annotation twice":           {`{"schemaVersion":2,"config":` + config + `,"annotations":{"a":"b","a":"c"}}`, false},
		"something unknown twice":       {`{"schemaVersion":2,"config":` + config + `,"x":{"y":1,"y":2}}`, false},
		"too deep":                      {`{"schemaVersion":2,"config":` + config + `,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, false},
		"annotations in other letters":  {`{"schemaVersion":2,"config":` + config + `,"annotations":{"a":"b","A":"c"}}`, true},
		"those of a layer":              {`{"schemaVersion":2,"config":` + config + `,"layers":[{"annotations":{"a":"b","A":"c"},` + config[1:] + `]}`, true},
		"something unknown, everywhere": {`{"schemaVersion":2,"x":1,"config":` + config + `,"layers":[{"x":{"x":{"x":[1,{"x":2},{"x":3}]}},` + config[1:] + `]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("", []byte(tt.body))
			if (err == nil) != tt.ok || err != nil && CodeOf(err) != ManifestInvalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestParse_memory: a manifest is refused before anything is made of it that takes
// many times the memory that it has itself.
func TestParse_memory(t *testing.T) {
	const size = 8 << 20
	for name, value := range map[string]struct{ begin, each, end string }{
		"empty layers":          {`{"schemaVersion":2,"layers":[{}`, `,{}`, `]}`},
		"empty manifests":       {`{"schemaVersion":2,"manifests":[{}`, `,{}`, `]}`},
		"URLs":                  {`{"schemaVersion":2,"config":{"urls":[""`, `,""`, `]}}`},
		"what is not known":     {`{"schemaVersion":2,"x":[{"a":1}`, `,{"a":1}`, `]}`},
		"what ends in the open": {`{"schemaVersion":2,"layers":[{}`, `,{}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(value.begin + strings.Repeat(value.each, size/len(value.each)) + value.end)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := parse("", body)
			runtime.ReadMemStats(&after)
			if CodeOf(err) != ManifestInvalid {
				t.Errorf("got %v", err)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("refusing %d bytes took %d", len(body), got)
			}
		})
	}
	t.Run("and the largest that are taken take little", func(t *testing.T) {
		layer := `{"mediaType":"application/x","digest":"` + emptyDigest + `","size":2,"annotations":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":""}}`
		body := []byte(`{"schemaVersion":2,"config":` + layer + `,"layers":[` + layer + strings.Repeat(","+layer, maxDescriptors-1) + `]}`)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a, err := parse("", body)
		runtime.ReadMemStats(&after)
		if err != nil || len(a.References) != maxDescriptors+1 {
			t.Errorf("got %d references, %v", len(a.References), err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
			t.Errorf("taking %d bytes took %d", len(body), got)
		}
	})
}

// FuzzManifest: whatever is sent as a manifest, what is accepted is one.
func FuzzManifest(f *testing.F) {
	config := `{"mediaType":"application/x","digest":"` + emptyDigest + `","size":2}`
	for _, body := range []string{
		`{}`, `[]`, `null`, ``, `{"schemaVersion":2,"config":` + config + `}`,
		`{"schemaVersion":2,"mediaType":"` + mediaIndex + `","manifests":[` + config + `]}`,
		`{"schemaVersion":2,"config":` + config + `,"layers":[` + config + `],"subject":` + config + `,"artifactType":"a","annotations":{"k":"v"}}`,
		`{"schemaVersion":2,"config":` + config + `,"manifests":[]}`,
		strings.Repeat("[", 20_000), `{"schemaVersion":2,"config":{"size":1e99}}`, `{"schemaVersion":2,"artifactType":"\u0000","config":` + config + `}`,
	} {
		for _, contentType := range []string{mediaManifest, mediaIndex, "", ";", "text/plain; a=b"} {
			f.Add(contentType, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		a, err := parse(contentType, body)
		if err != nil {
			if CodeOf(err) != ManifestInvalid {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if !slices.Contains([]string{mediaManifest, mediaIndex, mediaDocker, mediaDockerList}, a.MediaType) || a.Size != int64(len(body)) {
			t.Fatalf("accepted as %+v", a)
		}
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(body, &doc); err != nil || !plain(a.ArtifactType) || a.Subject != "" && a.Subject.Algorithm() == "" {
			t.Fatalf("accepted %q (%v)", body, err)
		}
		for _, r := range a.References {
			if r.Digest.Algorithm() == "" || r.Size < 0 {
				t.Fatalf("accepted with the reference %+v", r)
			}
		}
	})
}
