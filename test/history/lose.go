package history

// LoseOne is the negative control of a recorded history: the same one as it
// would be had one acknowledged write been lost. A read that was alone, after everything else, finds what that write had
// overwritten. ok is false where the history has no such read, and then controls nothing.
func LoseOne(ops []Operation) (lost []Operation, write Operation, ok bool) {
	for i, read := range ops {
		if read.Kind != Get || read.Outcome != Done {
			continue
		}
		var newest, before *Operation // acknowledged writes of the key, one after the other
		alone := true
		for j := range ops {
			op := &ops[j]
			if i == j || op.Key != read.Key {
				continue
			}
			alone = alone && op.Return < read.Call
			if op.Kind == Put && op.Outcome == Done && op.Value == read.Seen {
				newest = op
			}
		}
		if !alone || newest == nil {
			continue
		}
		for j := range ops {
			op := &ops[j]
			if op.Key == read.Key && op.Kind == Put && op.Outcome == Done && op.Return < newest.Call {
				before = op
			}
		}
		if before == nil {
			continue
		}
		lost = append(lost, ops...)
		lost[i].Seen = before.Value
		return lost, *newest, true
	}
	return nil, Operation{}, false
}
