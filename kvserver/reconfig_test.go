package kvserver

import "testing"

func TestVotersToAdd(t *testing.T) {
	t.Parallel()
	all := [...]int{1, 2, 3, 4, 5, 6, 7}
	quorumOfOneMore := [...]int{1, 2, 3, 3, 4, 4, 5}
	for version, want := range map[string][7]int{
		"3.4.0": all, "3.4.39": all,
		"3.5.0": all, "3.5.29": all, "3.5.30": quorumOfOneMore, "3.5.35": quorumOfOneMore,
		"3.6.0": all, "3.6.10": all, "3.6.11": quorumOfOneMore, "3.6.16": quorumOfOneMore,
		"3.7.0": quorumOfOneMore, "v3.7.0-rc.0": quorumOfOneMore, "3.7.3": quorumOfOneMore, "3.10.0": quorumOfOneMore, "4.0.0": quorumOfOneMore,
		"": all, "3.7": all, "3.x.1": all, "2.3.8": all,
	} {
		for i, n := range want {
			if got := VotersToAdd(i+1, version); got != n {
				t.Errorf("%q: %d of %d voters, want %d", version, got, i+1, n)
			}
		}
	}
}

func TestVotersToRemove(t *testing.T) {
	t.Parallel()
	for voters, want := range map[int]int{1: 2, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 5} {
		if got := VotersToRemove(voters); got != want {
			t.Errorf("%d of %d voters, want %d", got, voters, want)
		}
	}
}
