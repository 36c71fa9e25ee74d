//! One answer, in as many rounds as its tools take: the model asks for tools, they are called, it is told what came of it.
//!
//! All of it is bounded: rounds, calls, the time of each call and of all together. What a tool gives is data of strangers: it
//! goes to the model as a tool's result, and nowhere else.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    Asker, answer::Answer, failure, failure::Failure, history, shown::Shown, tool_calls::ToolCall, traced,
};
use crate::{
    HandlerError, Task,
    mcp::{Offered, Told},
    text::{REPLY_BYTES, cut},
};

/// What is asked of an endpoint.
pub(super) struct Request<'a> {
    pub(super) chat: &'a [Value],
    pub(super) tools: &'a [Offered],
    /// False: it may not call them any more.
    pub(super) may_call: bool,
    /// True for the first request of an answer.
    pub(super) begins: bool,
    /// How long it may take.
    pub(super) patience: Duration,
}

impl Request<'_> {
    /// How many tokens it may be.
    pub(super) fn tokens(&self) -> usize {
        let tools = if self.tools.is_empty() { 0 } else { self.functions().to_string().len() };
        history::tokens_of_chat(self.chat) + history::tokens_of(tools)
    }

    /// The tools as the endpoint is told of them.
    pub(super) fn functions(&self) -> Value {
        self.tools.iter().map(function).collect()
    }
}

fn function(tool: &Offered) -> Value {
    let mut schema = tool.schema().clone();
    // Endpoints refuse an object that does not say of what, and some the name of the language.
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    schema.entry("type").or_insert_with(|| "object".into());
    schema.remove("$schema");
    let function = json!({"name": tool.name, "description": tool.description(), "parameters": schema});
    json!({"type": "function", "function": function})
}

impl Asker {
    /// The answer to one message.
    pub(super) async fn answer(&self, task: &Task) -> Result<String, Failure> {
        let (prompt, bounds) = (self.settings.system_prompt.as_deref(), self.bounds());
        let mut chat = history::chat(prompt, task.context(), task.message(), bounds);
        let ends = Instant::now() + self.settings.timeout.0;
        // The other half is for an answer without those that are late.
        let tools = self.toolbox.offered(self.settings.timeout.0 / 2).await;
        let mut shown = Shown::new(task.draft());
        let (mut rounds, mut calls) =
            (self.settings.tools.tool_rounds, self.settings.tools.tool_calls as usize);
        let mut begins = true;
        loop {
            let may_call = rounds > 0 && calls > 0;
            let patience = ends.saturating_duration_since(Instant::now());
            let request = Request { chat: &chat, tools: &tools, may_call, begins, patience };
            let mut span = self.begin_span();
            let answer = self.ask(&request, &mut |text, thinks| shown.words(text, thinks)).await;
            traced::end(&mut span, &answer);
            drop(span);
            let answer = answer?;
            if answer.calls.is_empty() || tools.is_empty() || !may_call {
                let text = shown.all(&failure::text_of(&answer)?).replace('\0', "");
                return Ok(cut(text.trim(), REPLY_BYTES).to_owned());
            }
            failure::of_end(&answer)?;
            shown.keep(&answer.text());
            chat.push(asked_for(&answer));
            chat.extend(self.call(&answer.calls, &tools, &mut calls, ends, &mut shown).await);
            if ends <= Instant::now() {
                let late = "the answer and its tools took too long (--timeout)";
                return Err(Failure::Message(HandlerError::retryable(late)));
            }
            (rounds, begins) = (rounds - 1, false);
        }
    }

    /// Calls tools, all at the same time, and gives the turns that tell of it. `left` is how many more may be called.
    async fn call(
        &self,
        calls: &[ToolCall],
        tools: &[Offered],
        left: &mut usize,
        ends: Instant,
        shown: &mut Shown<'_>,
    ) -> Vec<Value> {
        let found: Vec<_> =
            calls.iter().map(|call| tools.iter().find(|tool| tool.name == call.name)).collect();
        let used: Vec<_> = found.iter().flatten().copied().take(*left).collect();
        if !used.is_empty() {
            shown.using(&used);
        }
        let bytes = self.settings.tools.tool_result_bytes as usize;
        let called = calls.iter().zip(found).map(|(call, tool)| {
            let is_within = *left > 0;
            *left = left.saturating_sub(1);
            // Cut as it comes: the slowest call must not keep what the others gave too much of in memory.
            async move { self.call_one(call, tool, is_within, ends).await.cut(bytes).text }
        });
        let called: Vec<_> = called.collect();
        let told = join_all(called).await;
        let turn = |(call, text): (&ToolCall, String)| json!({"role": "tool", "tool_call_id": call.id, "content": text});
        calls.iter().zip(told).map(turn).collect()
    }

    async fn call_one(
        &self,
        call: &ToolCall,
        tool: Option<&Offered>,
        is_within: bool,
        ends: Instant,
    ) -> Told {
        let toolbox = &self.toolbox;
        let Some(tool) = tool else { return toolbox.refused(None, "there is no such tool") };
        if !is_within {
            return toolbox.refused(Some(tool), "no more tool calls are allowed for this answer");
        }
        match call.arguments() {
            Ok(arguments) => {
                let _span = traced::tool(tool);
                let limit =
                    self.settings.tools.tool_timeout.0.min(ends.saturating_duration_since(Instant::now()));
                toolbox.call(tool, arguments, limit).await
            }
            Err(why) => toolbox.refused(Some(tool), why),
        }
    }
}

/// The model's turn that asks for tools, as the next request repeats it.
fn asked_for(answer: &Answer) -> Value {
    let calls: Vec<_> = answer.calls.iter().map(ToolCall::repeated).collect();
    let mut turn = json!({"role": "assistant", "content": answer.text(), "tool_calls": calls});
    if !answer.reasoning.is_empty() {
        // DeepSeek refuses to go on without; those that send none may refuse the field.
        turn["reasoning_content"] = answer.reasoning.as_str().into();
    }
    turn
}
