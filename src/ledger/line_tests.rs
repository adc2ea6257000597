use super::*;
use crate::domain::{AgencyId, Bet, Rows};

const ONE: AgencyId = AgencyId(1);

fn bets(count: usize) -> Entry {
    let (name, mut rows) = ("x".repeat(100), Rows::new(ONE));
    (0..count).for_each(|_| rows.push(&Bet::new([&name, &name, "1", "2000-01-01", "7"]).unwrap()));
    Entry::Bets { agency: ONE, place: None, rows }
}

fn orders(leaving: &Leaving<u32, ()>) -> Vec<u32> {
    leaving.group.iter().map(|(_, order)| *order).collect()
}

#[test]
fn a_group_is_as_large_as_it_may_be_and_no_larger() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    (0..40).for_each(|order| line.put(&mut claim, bets(280), order));
    line.close();
    let groups = [line.next_group().unwrap(), line.next_group().unwrap()];
    let weighs = |group: &Leaving<u32, ()>| group.group.iter().map(|(entry, _)| weight(entry)).sum::<usize>();
    assert!(weighs(&groups[0]) <= MAX_GROUP && weighs(&groups[0]) + weight(&bets(280)) > MAX_GROUP);
    assert!(orders(&groups[0]).into_iter().chain(orders(&groups[1])).eq(0..40));
    assert!(line.is_empty());
}

#[test]
fn what_stands_behind_a_failed_group_fails_too_and_so_does_what_comes_before_that_is_heard() {
    let line = Line::<u32, ()>::new();
    let [mut sender, mut other] = [Claim::default(), Claim::default()];
    assert!(line.claim(&mut sender, true, || ()));
    line.put(&mut sender, bets(1), 1);
    line.hurry();
    assert_eq!(orders(&line.next_group().unwrap()), [1]);
    line.put(&mut sender, bets(1), 2);
    line.put(&mut sender, Entry::Done { agency: ONE, declaration: None }, 3);
    let error = StorageError("full".to_owned());
    let behind = line.fail(error.clone());
    assert_eq!(orders(&behind), [2, 3], "who put them there believed that the first would be stored");
    assert!(line.is_empty());

    line.put(&mut sender, Entry::Done { agency: ONE, declaration: None }, 4);
    assert!(line.claim(&mut other, true, || ()));
    line.put(&mut other, bets(1), 5);
    assert!(line.claim(&mut sender, true, || ()));
    line.put(&mut sender, bets(1), 6);
    line.hurry();
    let next = line.next_group().unwrap();
    assert_eq!(orders(&next), [4, 5, 6]);
    let is_void: Vec<bool> = next.group.iter().map(|(entry, _)| matches!(entry, Entry::Void(_))).collect();
    assert_eq!(is_void, [true, false, false], "who has heard of the failure, or waits for nothing, is not part of it");
}

#[test]
fn what_somebody_waits_for_leaves_also_behind_a_failure() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    line.put(&mut claim, bets(1), 1);
    line.hurry();
    assert_eq!(orders(&line.fail(StorageError("full".to_owned()))), [1]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| orders(&line.next_group().unwrap()));
        line.put(&mut claim, bets(1), 2);
        line.hurry();
        assert_eq!(writer.join().unwrap(), [2]);
    });
}

#[test]
fn room_goes_to_those_who_wait_in_their_order() {
    let line = Line::<u32, u32>::new();
    let mut claims: Vec<Claim> = (0..MAX_LINE / CLAIM).map(|_| Claim::default()).collect();
    assert!(claims.iter_mut().all(|claim| line.claim(claim, true, || 0)));
    let mut late = [Claim::default(), Claim::default(), Claim::default()];
    for (who, claim) in (1..).zip(&mut late) {
        assert!(!line.claim(claim, true, || who) && claim.is_waiting());
    }
    assert!(line.give_back(&mut late[1]).is_empty(), "it does not wait any more");
    assert_eq!(line.give_back(&mut claims[0]), [1]);
    assert!(!line.claim(&mut claims[0], true, || 4), "who comes later does not pass those who wait");
    assert!(line.claim(&mut late[0], true, || 0));
    assert_eq!(line.give_back(&mut claims[1]), [3]);
    assert_eq!(line.give_back(&mut late[2]), [4], "a claim that was never taken up is given back");
}

#[test]
fn a_large_enough_group_leaves_though_nobody_waits_for_it() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    let mut count = 0;
    while line.inner.lock().bytes < 128 * 1024 {
        line.put(&mut claim, bets(10), count);
        count += 1;
    }
    assert!(orders(&line.next_group().unwrap()).into_iter().eq(0..count));
}

#[test]
fn what_somebody_waits_for_leaves_also_behind_a_full_group_and_nothing_is_urgent_after_that() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    line.put(&mut claim, bets(9600), 1);
    line.put(&mut claim, bets(1), 2);
    line.put_own(Entry::Announced, 3);
    assert!(line.inner.lock().is_urgent);
    assert_eq!(orders(&line.next_group().unwrap()), [1]);
    assert!(line.inner.lock().is_urgent);
    assert_eq!(orders(&line.next_group().unwrap()), [2, 3]);
    line.hurry();
    let inner = line.inner.lock();
    assert!(!inner.is_urgent && inner.bytes == 0);
}

#[test]
fn what_stands_in_line_takes_room_until_it_leaves() {
    let (line, mut claim) = (Line::<u32, u32>::new(), Claim::default());
    let (mut late, mut later) = (Claim::default(), Claim::default());
    let entry = bets(9000);
    let weighs = weight(&entry);
    let most = (8 * 1024 * 1024 - CLAIM) / weighs + 1;
    line.put(&mut claim, entry, 0);
    (1..most as u32).for_each(|order| line.put(&mut claim, bets(9000), order));
    assert!(!line.claim(&mut late, true, || 1) && !line.claim(&mut later, true, || 2));
    assert!(!line.claim(&mut late, true, || 3), "who asks again has waited no longer");
    line.hurry();
    assert_eq!(line.next_group().unwrap().waiting, [1, 2]);
    assert!(late.is_waiting() && line.claim(&mut late, true, || 4) && !late.is_waiting());
    let failed = line.fail(StorageError("full".to_owned()));
    assert_eq!((failed.group.len(), line.inner.lock().bytes), (most - 1, 0));
}

#[test]
fn a_group_may_be_exactly_as_large_as_the_largest_and_what_stays_keeps_its_weight() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    let most = (MAX_GROUP / ENTRY) as u32;
    (0..=most).for_each(|order| line.put(&mut claim, Entry::Announced, order));
    assert_eq!(orders(&line.next_group().unwrap()).len(), most as usize);
    assert_eq!(line.inner.lock().bytes, ENTRY);
}

#[test]
fn a_claim_covers_no_more_than_it_says() {
    let line = Line::<u32, u32>::new();
    let (mut claim, mut others) = (Claim::default(), Vec::new());
    assert!(!claim.has_room() && line.claim(&mut claim, true, || 0) && claim.has_room());
    let most = (CLAIM / ENTRY) as u32;
    for order in 0..most {
        assert!(claim.has_room());
        line.put(&mut claim, Entry::Announced, order);
        assert!(order + 1 == most || line.claim(&mut claim, true, || 0), "what is left is enough");
        let inner = line.inner.lock();
        assert_eq!(inner.bytes + inner.claimed, CLAIM, "what is put in line takes the room that was claimed for it");
    }
    assert!(!claim.has_room());
    while line.claim(&mut claim, true, || 0) {
        others.push(std::mem::take(&mut claim));
    }
    assert_eq!(others.len(), MAX_LINE / CLAIM - 1, "the entries are in line, and the rest is claimed");
    line.put(&mut others[0], bets(2000), most);
    assert!(!others[0].has_room(), "an entry that is larger than what is left takes it all");
    assert!(line.give_back(&mut others[0]).is_empty(), "nothing of it is left");
    let given_back = others[1..].iter_mut().map(|claim| line.give_back(claim)).take_while(Vec::is_empty).count() + 1;
    let weighs = weight(&bets(2000)).saturating_sub(CLAIM);
    assert_eq!(given_back, weighs.div_ceil(CLAIM) + 1, "the large entry takes that room, and who waits gets the next");
}

/// How the line looks while the writer waits.
fn rest(line: &Line<u32, ()>) {
    line.put_down(false);
}

#[test]
fn one_group_is_written_at_a_time_and_by_a_connection_only_while_the_writer_waits() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    line.put(&mut claim, bets(1), 1);
    assert!(line.take_or_hurry().is_none(), "there is no writer yet");
    rest(&line);
    assert_eq!(orders(&line.take_or_hurry().unwrap()), [1]);
    line.put(&mut claim, bets(1), 2);
    assert!(line.take_or_hurry().is_none(), "a group is being written");
    line.put_down(false);
    assert_eq!(orders(&line.next_group().unwrap()), [2], "the writer was called");
    line.put(&mut claim, bets(1), 3);
    assert!(line.take_or_hurry().is_none(), "the writer is at work");
    assert_eq!(orders(&line.next_group().unwrap()), [3]);
}

#[test]
fn what_is_much_is_left_to_the_writer() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    rest(&line);
    (0..3).for_each(|order| line.put(&mut claim, bets(280), order));
    assert!(line.take_or_hurry().is_none());
    assert_eq!(orders(&line.next_group().unwrap()), [0, 1, 2]);
    rest(&line);
    assert!(line.take_or_hurry().is_none(), "nothing is in line");
}

#[test]
fn the_writer_is_called_for_maintenance_alone() {
    let (line, mut claim) = (Line::<u32, ()>::new(), Claim::default());
    rest(&line);
    line.put(&mut claim, bets(1), 1);
    assert!(line.take_or_hurry().is_some());
    line.put_down(true);
    assert_eq!(orders(&line.next_group().unwrap()), [0; 0]);
    line.close();
    assert!(line.next_group().is_none(), "once is enough");
}
