package ledger_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/merkle"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestExport(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := newLedger(t, db)
		fill(t, db, l, 50)
		kept := checkpoint(t, l)
		var whole bytes.Buffer
		if err := l.Export(t.Context(), &whole); err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(whole.String(), "\n"), "\n")
		if len(lines) != 52 {
			t.Fatalf("%d lines", len(lines))
		}
		edit := func(f func(l []string) []string) string {
			return strings.Join(f(append([]string(nil), lines...)), "")
		}
		for name, tt := range map[string]struct {
			text    string
			problem ledger.Problem
			seq     int64
		}{
			"is whole": {text: whole.String()},
			"with an edited record": {edit(func(l []string) []string {
				l[7] = strings.Replace(l[7], `"actor":"ana"`, `"actor":"bob"`, 1)
				return l
			}), ledger.ProblemLeaf, 7},
			"with an edited record and hash": {edit(func(l []string) []string {
				var line struct {
					Seq  int64           `json:"seq"`
					Hash []byte          `json:"hash"`
					Leaf json.RawMessage `json:"leaf"`
				}
				if err := json.Unmarshal([]byte(l[7]), &line); err != nil {
					t.Fatal(err)
				}
				line.Leaf = bytes.Replace(line.Leaf, []byte("ana"), []byte("bob"), 1)
				h := merkle.LeafHash(line.Leaf)
				line.Hash = h[:]
				var b bytes.Buffer
				enc := json.NewEncoder(&b)
				enc.SetEscapeHTML(false)
				if err := enc.Encode(line); err != nil {
					t.Fatal(err)
				}
				l[7] = b.String()
				return l
			}), ledger.ProblemRoot, 1},
			"with a deleted entry":   {edit(func(l []string) []string { return append(l[:9], l[10:]...) }), ledger.ProblemMissing, 9},
			"with two swapped":       {edit(func(l []string) []string { l[3], l[4] = l[4], l[3]; return l }), ledger.ProblemMissing, 3},
			"cut off":                {edit(func(l []string) []string { return append(l[:40], l[51]) }), ledger.ProblemTruncated, 40},
			"without its checkpoint": {edit(func(l []string) []string { return l[:51] }), ledger.ProblemUnsigned, 0},
		} {
			t.Run(name, func(t *testing.T) {
				r, err := ledger.VerifyExport(strings.NewReader(tt.text), l.Verifier(), &kept)
				if err != nil {
					t.Fatal(err)
				}
				if tt.problem == "" {
					if !r.OK || r.Entries != 50 {
						t.Fatalf("%+v %v", r, r.Bad)
					}
					return
				}
				if r.OK || r.Bad.Problem != tt.problem || r.Bad.Seq != tt.seq {
					t.Fatalf("found %+v, want %s at %d", r.Bad, tt.problem, tt.seq)
				}
			})
		}
		t.Run("read otherwise than it was signed is no export", func(t *testing.T) {
			forged := func(line string) string { return strings.Replace(line, `"actor":"ana"`, `"actor":"eve"`, 1) }
			leafOf := func(line string) string {
				_, leaf, _ := strings.Cut(strings.TrimSuffix(line, "}\n"), `"leaf":`)
				return leaf
			}
			for name, text := range map[string]string{
				"a member in capitals": edit(func(l []string) []string {
					l[7] = strings.TrimSuffix(forged(l[7]), "}\n") + `,"LEAF":` + leafOf(l[7]) + "}\n"
					return l
				}),
				"a member twice": edit(func(l []string) []string {
					l[7] = strings.TrimSuffix(forged(l[7]), "}\n") + `,"leaf":` + leafOf(l[7]) + "}\n"
					return l
				}),
				"a leaf beside one in base64": edit(func(l []string) []string {
					l[7] = strings.TrimSuffix(l[7], "}\n") + `,"leaf_base64":"e30="}` + "\n"
					return l
				}),
				"an unknown member": edit(func(l []string) []string {
					l[7] = strings.Replace(l[7], `{"seq"`, `{"note":"x","seq"`, 1)
					return l
				}),
				"a member of another line": edit(func(l []string) []string {
					l[7] = strings.Replace(l[7], `{"seq"`, `{"size":3,"seq"`, 1)
					return l
				}),
				"other spaces":      edit(func(l []string) []string { l[7] = strings.Replace(l[7], `{"seq":`, `{"seq": `, 1); return l }),
				"a carriage return": edit(func(l []string) []string { l[7] = strings.TrimSuffix(l[7], "\n") + "\r\n"; return l }),
				"an entry in the checkpoint's line": edit(func(l []string) []string {
					l[51] = strings.Replace(l[51], `{"checkpoint"`, `{"seq":51,"leaf":{},"checkpoint"`, 1)
					return l
				}),
				"an entry after the checkpoint": whole.String() + forged(lines[7]),
				"a line after the checkpoint":   whole.String() + "\n",
				"another size in the header":    edit(func(l []string) []string { l[0] = strings.Replace(l[0], `"size":50`, `"size":51`, 1); return l }),
				"another key in the header":     edit(func(l []string) []string { l[0] = strings.Replace(l[0], `"key":"`, `"key":"x`, 1); return l }),
			} {
				if r, err := ledger.VerifyExport(strings.NewReader(text), l.Verifier(), nil); r.OK || towpath.KindOf(err) != towpath.KindInvalid {
					t.Errorf("%s: it is OK: %v, %v", name, r.OK, err)
				}
			}
		})
		t.Run("names the restore that a trusted checkpoint is older than", func(t *testing.T) {
			trusted := kept
			trusted.Epoch, trusted.Root = 0, merkle.EmptyRoot()
			for size, problem := range map[int64]ledger.Problem{40: ledger.ProblemRoot, 60: ledger.ProblemTruncated} {
				trusted.Size = size
				r, err := ledger.VerifyExport(bytes.NewReader(whole.Bytes()), l.Verifier(), &trusted)
				if err != nil || r.OK || r.Bad.Problem != problem || !strings.Contains(r.Bad.Message, "restored from a backup") {
					t.Errorf("%+v, %v", r.Bad, err)
				}
			}
		})
		t.Run("copies a damaged record for the verifier to find", func(t *testing.T) {
			for _, leaf := range []string{"{\"id\":\n", " {}", "{}\r", "", "null"} {
				if _, err := db.Exec(t.Context(), `UPDATE event SET leaf = $1 WHERE seq = 5`, []byte(leaf)); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if err := l.Export(t.Context(), &out); err != nil {
					t.Fatal(err)
				}
				r, err := ledger.VerifyExport(&out, l.Verifier(), nil)
				if err != nil || r.OK || r.Bad.Seq != 5 {
					t.Fatalf("%q: %+v %v", leaf, r.Bad, err)
				}
			}
		})
		t.Run("what is no export is invalid", func(t *testing.T) {
			for _, text := range []string{"", "hello", "{}\n", `{"towpath_ledger":1}` + "\nnonsense\n", `{"towpath_ledger":1}` + "\n" + strings.Repeat("x", 2<<20)} {
				if _, err := ledger.VerifyExport(strings.NewReader(text), l.Verifier(), nil); towpath.KindOf(err) != towpath.KindInvalid {
					t.Errorf("%.20q: got %v", text, err)
				}
			}
		})
	})
}

func FuzzVerifyExport(f *testing.F) {
	key, err := merkle.GenerateKey("towpath.test")
	if err != nil {
		f.Fatal(err)
	}
	v, err := key.Verifier()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"towpath_ledger":1}` + "\n" + `{"seq":1,"hash":"","leaf":{}}` + "\n" + `{"checkpoint":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ledger.VerifyExport(bytes.NewReader(data), v, nil); err == nil && r.OK {
			t.Fatal("a text without a signature was accepted")
		}
	})
}
