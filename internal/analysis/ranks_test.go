package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
)

// bruteForce counts, over all ways to choose the first sample, those whose sum of
// mid-ranks is at least as high; ranks are compared pair by pair.
func bruteForce(first, second []float64) float64 {
	all := append(append([]float64{}, first...), second...)
	wins := func(chosen int) int {
		doubled := 0
		for i, a := range all {
			for j, b := range all {
				if chosen>>i&1 == 1 && chosen>>j&1 == 0 {
					switch {
					case a > b:
						doubled += 2
					case a == b:
						doubled++
					}
				}
			}
		}
		return doubled
	}
	seen := wins(1<<len(first) - 1)
	ways, high := 0, 0
	for chosen := range 1 << len(all) {
		n := 0
		for i := range all {
			n += chosen >> i & 1
		}
		if n != len(first) {
			continue
		}
		ways++
		if wins(chosen) >= seen {
			high++
		}
	}
	return float64(high) / float64(ways)
}

func TestMannWhitney_IsExactWithTies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		first, second := make([]float64, 1+r.IntN(5)), make([]float64, 1+r.IntN(6))
		for i := range first {
			first[i] = float64(r.IntN(4))
		}
		for i := range second {
			second[i] = float64(r.IntN(4))
		}
		got, want := MannWhitney(first, second).P, bruteForce(first, second)
		if math.Abs(got-want) > 1e-12 {
			t.Fatalf("MannWhitney(%v, %v) = %v, want %v", first, second, got, want)
		}
	}
}

func TestMannWhitney_TheNormalApproximationAgreesWithTheExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		first, second := make([]float64, 30), make([]float64, 31)
		for i := range first {
			first[i] = math.Round(3 * (r.NormFloat64() + 0.3))
		}
		for i := range second {
			second[i] = math.Round(3 * r.NormFloat64())
		}
		approximate := MannWhitney(first, second)
		ranks, sum, _ := doubledRanks(first, second)
		if exact := exactTail(ranks, len(first), sum); math.Abs(approximate.P-exact) > 0.003 {
			t.Errorf("approximately %v, exactly %v", approximate.P, exact)
		}
	}
}

func TestMannWhitney_IsSaneAtTheEdges(t *testing.T) {
	same := make([]float64, 50)
	for name, tc := range map[string]struct {
		first, second []float64
		p, effect     float64
	}{
		"nothing on one side":           {nil, []float64{1}, 1, 0.5},
		"one value each, equal":         {[]float64{1}, []float64{1}, 1, 0.5},
		"one value each, higher":        {[]float64{2}, []float64{1}, 0.5, 1},
		"constant, few":                 {same[:5], same[:5], 1, 0.5},
		"constant, many":                {same, same, 1, 0.5},
		"all higher":                    {[]float64{4, 5, 6}, []float64{1, 2, 3}, 0.05, 1},
		"all higher, a millionth of it": {[]float64{4e-6, 5e-6, 6e-6}, []float64{1e-6, 2e-6, 3e-6}, 0.05, 1},
	} {
		if got := MannWhitney(tc.first, tc.second); math.Abs(got.P-tc.p) > 1e-12 || math.Abs(got.Effect-tc.effect) > 1e-12 {
			t.Errorf("%s: %+v, want p %v and effect %v", name, got, tc.p, tc.effect)
		}
	}
}
