//! Instructions and the actions in them (ONF TS-006 §7.2.4, §7.2.5).

use super::oxm::{self, SetField};
use crate::flow::{Action, Flow, PortNo, RawElement};
use crate::wire::{Input, Malformed, set_length};

/// Instructions (`ofp_instruction_type`).
const GOTO_TABLE: u16 = 1;
const APPLY_ACTIONS: u16 = 4;

/// Actions (`ofp_action_type`).
const OUTPUT: u16 = 0;
const PUSH_VLAN: u16 = 17;
const POP_VLAN: u16 = 18;
const SET_FIELD: u16 = 25;

/// How much of a packet goes to the controller: all of it (`OFPCML_NO_BUFFER`).
const WHOLE: u16 = 0xffff;

/// Appends the instructions of a flow.
pub(crate) fn write_instructions(out: &mut Vec<u8>, flow: &Flow) {
    if !flow.actions.is_empty() {
        element(out, APPLY_ACTIONS, |out| {
            out.extend([0; 4]);
            for action in &flow.actions {
                write_action(out, action);
            }
        });
    }
    if let Some(table) = flow.goto {
        element(out, GOTO_TABLE, |out| out.extend([table, 0, 0, 0]));
    }
    for instruction in &flow.raw {
        out.extend_from_slice(instruction.as_bytes());
    }
}

fn write_action(out: &mut Vec<u8>, action: &Action) {
    match action {
        Action::Output(port) => element(out, OUTPUT, |out| {
            out.extend(port.0.to_be_bytes());
            let length = match *port {
                PortNo::CONTROLLER => WHOLE,
                _ => 0,
            };
            out.extend(length.to_be_bytes());
            out.extend([0; 6]);
        }),
        Action::SetEthSrc(mac) => write_set(out, SetField::EthSrc(*mac)),
        Action::SetEthDst(mac) => write_set(out, SetField::EthDst(*mac)),
        Action::SetVlan(vlan) => write_set(out, SetField::Vlan(*vlan)),
        Action::PushVlan(ether_type) => element(out, PUSH_VLAN, |out| {
            out.extend(ether_type.to_be_bytes());
            out.extend([0; 2]);
        }),
        Action::PopVlan => element(out, POP_VLAN, |out| out.extend([0; 4])),
        Action::Raw(raw) => out.extend_from_slice(raw.as_bytes()),
    }
}

fn write_set(out: &mut Vec<u8>, field: SetField) {
    element(out, SET_FIELD, |out| oxm::write_set(out, field));
}

/// Appends an action or instruction; `content` writes what follows its header.
fn element(out: &mut Vec<u8>, kind: u16, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_be_bytes());
    out.extend([0; 2]);
    content(out);
    out.resize(start + (out.len() - start).next_multiple_of(8), 0);
    // An element that is too long makes its message too long, which is where it is noticed.
    set_length(out, start, 2, 0);
}

/// Reads instructions up to the end of `input` into the flow.
pub(crate) fn read_instructions(input: &mut Input<'_>, flow: &mut Flow) -> Result<(), Malformed> {
    while !input.is_empty() {
        let (kind, content, whole) = read_element(input)?;
        match (kind, content) {
            (GOTO_TABLE, [table, _, _, _]) if flow.goto.is_none() => flow.goto = Some(*table),
            (APPLY_ACTIONS, [_, _, _, _, actions @ ..])
                if flow.actions.is_empty() && !actions.is_empty() =>
            {
                flow.actions = read_actions(actions)?;
            }
            _ => flow.raw.extend(RawElement::new(whole)),
        }
    }
    Ok(())
}

fn read_actions(bytes: &[u8]) -> Result<Vec<Action>, Malformed> {
    let mut input = Input(bytes);
    let mut actions = Vec::new();
    while !input.is_empty() {
        let (kind, content, whole) = read_element(&mut input)?;
        let known = read_action(kind, content);
        actions.extend(known.or_else(|| RawElement::new(whole).map(Action::Raw)));
    }
    Ok(actions)
}

fn read_action(kind: u16, content: &[u8]) -> Option<Action> {
    match (kind, content) {
        (OUTPUT, &[a, b, c, d, high, low, ..]) => {
            let port = PortNo(u32::from_be_bytes([a, b, c, d]));
            let whole = u16::from_be_bytes([high, low]) == WHOLE;
            (whole || port != PortNo::CONTROLLER).then_some(Action::Output(port))
        }
        (PUSH_VLAN, &[high, low, ..]) => Some(Action::PushVlan(u16::from_be_bytes([high, low]))),
        (POP_VLAN, _) => Some(Action::PopVlan),
        (SET_FIELD, field) => oxm::read_set(field).map(|field| match field {
            SetField::EthSrc(mac) => Action::SetEthSrc(mac),
            SetField::EthDst(mac) => Action::SetEthDst(mac),
            SetField::Vlan(vlan) => Action::SetVlan(vlan),
        }),
        _ => None,
    }
}

/// Takes an action or instruction: its type, what follows its header, all of it.
fn read_element<'a>(input: &mut Input<'a>) -> Result<(u16, &'a [u8], &'a [u8]), Malformed> {
    let mut whole = *input;
    let kind = input.u16()?;
    let length = usize::from(input.u16()?);
    if length < 8 || !length.is_multiple_of(8) {
        return Err(Malformed("an action or instruction of impossible length"));
    }
    let content = input.take(length - 4)?;
    Ok((kind, content, whole.take(length)?))
}
