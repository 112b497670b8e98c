// Takes the place of packages of which Agent Chat UI's hook only needs these names.

export const toast = Object.assign(() => {}, { error: (title, { description }) => console.error(title, description) });
export const END = "__end__";
export const format = String;
export const startCase = String;
