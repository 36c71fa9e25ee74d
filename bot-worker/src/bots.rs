//! Which bots one process plays: one by flags, or several by a file, whose entries override the flags.
//!
//! Owns what they are told to be; `bot.rs` runs them.

#[cfg(feature = "openai")]
mod file;

#[cfg(feature = "openai")]
pub(crate) use self::file::what_is_wrong;
#[cfg(feature = "openai")]
use crate::openai::OpenAiSettings;
use crate::{ReplyKind, Settings};

/// One bot, with everything that it needs to run. One that differs is another bot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bot {
    /// What it answers.
    pub(crate) entities: Vec<String>,
    /// How many messages at the same time.
    pub(crate) max_in_flight: u32,
    /// How.
    pub(crate) answers: Answers,
}

/// How a bot answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answers {
    /// With what it was asked.
    Echo,
    /// By an endpoint.
    #[cfg(feature = "openai")]
    Endpoint(Box<OpenAiSettings>),
}

impl Bot {
    /// Its name in metrics and logs.
    pub(crate) fn name(&self) -> String {
        self.entities.join(",")
    }
}

/// The bots of these settings, as they and their files are now. Blocks for as long as the disk takes.
///
/// # Errors
/// One sentence about what is wrong.
pub(crate) fn of(settings: &Settings) -> Result<Vec<Bot>, String> {
    let bot = |entities: &[String], max_in_flight, answers| Bot {
        entities: entities.to_vec(),
        max_in_flight,
        answers,
    };
    if settings.reply == Some(ReplyKind::Echo) {
        return Ok(vec![bot(&settings.entities, settings.max_in_flight, Answers::Echo)]);
    }
    #[cfg(feature = "openai")]
    {
        if let Some(path) = &settings.bots {
            return file::read(path, settings);
        }
        let answers = Answers::Endpoint(Box::new(settings.openai.clone().with_files()?));
        Ok(vec![bot(&settings.entities, settings.max_in_flight, answers)])
    }
    #[cfg(not(feature = "openai"))]
    Err("--reply is needed: how should the bot answer?".into())
}
